import Dovetail
import DovetailTesting
import Foundation

/// Trips: several bookings with others, which are wanted all or not at all.
struct TripsAPI: Contract {
    let name = "trips", version = 1
    let requested = Event("trip.requested", Requested.self, key: \.tripID)
    let paid = Event("trip.paid", Paid.self, key: \.tripID)

    struct Requested: Wire { var tripID: String, customer: String, departure: Date }
    struct Paid: Wire { var tripID: String, receipt: String }
}

/// Companies outside. Each knows a call by its key, and what to undo by the trip.
protocol Company: Sendable {
    func book(_ trip: String, key: String) async throws -> String
    func cancel(_ trip: String, key: String) async throws
}

/// What the saga remembers between its steps; `nil` is what has not happened yet.
struct Trip: Wire {
    var tripID: String
    var customer: String
    var departure: Date
    var flight: String?
    var hotel: String?
    var approval: Approval?
    var payment: TripsAPI.Paid?
    var insurance: String?

    struct Approval: Wire { var by: String, isGranted: Bool }

    init(_ request: TripsAPI.Requested) {
        (tripID, customer, departure) = (request.tripID, request.customer, request.departure)
    }
}

/// One step, and what undoes it.
func shortTrip(_ airline: any Company) -> Saga<Trip> {
    Saga("short-trip", startedBy: TripsAPI().requested) { Trip($0) }
        .step("book flight", into: \.flight) { trip, saga in
            try await airline.book(trip.tripID, key: saga.idempotencyKey)
        } undo: { trip, saga in  // by the trip: a lost answer has left no booking to name
            try await airline.cancel(trip.tripID, key: saga.idempotencyKey)
        }
}

/// All that a saga can do.
func trip(
    _ airline: any Company, _ hotel: any Company, _ insurer: any Company, _ mailer: any Mailer
) -> Saga<Trip> {
    let unhurried = SagaPolicy(attempts: 20, backoff: .seconds(5), maximumBackoff: .seconds(600))
    return Saga("trip", startedBy: TripsAPI().requested) { Trip($0) }
        .parallel(
            {
                $0.step("book flight", into: \.flight) { trip, saga in
                    try await airline.book(trip.tripID, key: saga.idempotencyKey)
                } undo: { trip, saga in
                    try await airline.cancel(trip.tripID, key: saga.idempotencyKey)
                }
            },
            {
                $0.step("book hotel", into: \.hotel, policy: unhurried) { trip, saga in
                    try await hotel.book(trip.tripID, key: saga.idempotencyKey)
                } undo: { trip, saga in
                    try await hotel.cancel(trip.tripID, key: saga.idempotencyKey)
                }
            }
        )
        .decision("approve", into: \.approval, within: .seconds(2 * 86_400))
        .step("heed approval") { trip, _ in
            guard trip.approval?.isGranted == true else { throw Problem("trip-not-approved", status: 409) }
        }
        .wait("payment", for: TripsAPI().paid, key: \.tripID, into: \.payment, within: .seconds(3600))
        .pivot()  // paid: from here on only forward
        .child("insure", of: insurance(insurer), start: { $0 }, into: \.insurance, result: \.insurance)
        .pause("until the day before", until: { trip, _ in trip.departure.addingTimeInterval(-86_400) })
        .step("remind") { trip, saga in
            try await mailer.send("you leave tomorrow", to: trip.customer, key: saga.idempotencyKey)
        }
        .compensated { trip, problem, saga in
            try await mailer.send("no trip: \(problem.title)", to: trip.customer, key: saga.idempotencyKey)
        }
}

/// A saga that another one runs. Behind a pivot nothing may be refused, so it begins with its own.
func insurance(_ insurer: any Company) -> Saga<Trip> {
    Saga("insurance", of: Trip.self)
        .pivot()
        .step("insure", into: \.insurance) { trip, saga in
            try await insurer.book(trip.tripID, key: saga.idempotencyKey)
        }
}

/// One plane has one seat 12A: sagas that want it come one after the other, until it is booked or given back.
func seatOf(_ airline: any Company) -> Saga<Trip> {
    Saga("seat", startedBy: TripsAPI().requested) { Trip($0) }
        .lock("seat", resource: "seat", key: { "12A \($0.departure)" }, within: .seconds(60))
        .step("book flight", into: \.flight) { trip, saga in
            try await airline.book(trip.tripID, key: saga.idempotencyKey)
        } undo: { trip, saga in
            try await airline.cancel(trip.tripID, key: saga.idempotencyKey)
        }
        .release("seat")
}

/// The saga in a test: what becomes of it is the same, wherever its node dies.
func rehearseTrip(_ companies: @Sendable () -> (airline: any Company, booked: @Sendable () -> [String])) async throws {
    try await SagaHarness.crashingAtEveryCommit { harness in
        let (airline, booked) = companies()
        try await harness.add(shortTrip(airline))
        try await harness.publish(TripsAPI().requested(.init(tripID: "7", customer: "ada", departure: harness.now)))
        try await harness.run()
        return booked()
    }
}
