import DovetailContracts
import DovetailCore
import DovetailEvents
import Synchronization

@testable import DovetailSagas

/// An outside service that saga steps call: it does each thing once for each key, remembers what was done and undone, and fails as it is told to.
final class Ledger: Sendable {
    struct Entry: Equatable, Sendable { var what: String, key: String }

    private struct State {
        var effects: [Entry] = []
        var calls: [Entry] = []
        var plans: [String: [any Error]] = [:]

        mutating func add(_ what: String, _ context: SagaContext) {
            let entry = Entry(what: what, key: context.idempotencyKey)
            // To undo what was never done has no effect; so it is with a service that goes by business keys.
            if what.hasPrefix("undo "), !effects.contains(where: { "undo \($0.what)" == what }) { return }
            if !effects.contains(entry) { effects.append(entry) }
        }
    }

    private let state = Mutex(State())

    /// What was done, in order, each once.
    var effects: [String] { state.withLock { $0.effects.map(\.what) } }
    /// All calls, in order, with the idempotency keys that they had.
    var calls: [Entry] { state.withLock { $0.calls } }

    /// The next calls to `what` fail with these, in order; those after them succeed.
    func fail(_ what: String, _ errors: (any Error)...) {
        state.withLock { $0.plans[what, default: []] += errors }
    }

    /// Carries out a step.
    func call(_ what: String, _ context: SagaContext) throws {
        try state.withLock { state in
            state.calls.append(Entry(what: what, key: context.idempotencyKey))
            if var plan = state.plans[what], !plan.isEmpty {
                let error = plan.removeFirst()
                state.plans[what] = plan
                // An answer that is lost is lost after the work is done.
                if FailureKind.of(error) == .inDoubt { state.add(what, context) }
                throw error
            }
            state.add(what, context)
        }
    }
}

let refused = Problem("refused", status: 409)
let lost = CallError(.answerLost, callee: "ledger", message: "the answer was lost", wasSent: true)
let away = CallError(.unreachable, callee: "ledger", message: "nobody answers", wasSent: false)

/// The events of the tests.
struct TripAPI: Contract {
    let name = "trips", version = 1
    let booked = Event("trip.booked", Trip.self, key: \.id)
    let paid = Event("trip.paid", Paid.self, key: \.id)

    struct Trip: Wire, Equatable { var id: String }
    struct Paid: Wire, Equatable { var id: String, cents: Int }
}

/// What a trip's saga remembers.
struct Booking: Wire, Equatable {
    var trip: String
    var flight: String?
    var paid: TripAPI.Paid?
    var approval: Bool?
    var insured: String?

    init(_ trip: TripAPI.Trip) { self.trip = trip.id }
}

extension SagaBuilding where State == Booking {
    /// A step that calls the ledger, with an undo.
    func calls(_ ledger: Ledger, _ name: String, policy: SagaPolicy? = nil) -> Self {
        step(name, policy: policy) { state, context in
            try ledger.call("\(name) \(state.trip)", context)
        } undo: { state, context in
            try ledger.call("undo \(name) \(state.trip)", context)
        }
    }

    /// A step that calls the ledger, without an undo.
    func only(_ ledger: Ledger, _ name: String, policy: SagaPolicy? = nil) -> Self {
        step(name, policy: policy) { state, context in try ledger.call("\(name) \(state.trip)", context) }
    }
}

/// A saga that is started by a booked trip.
func tripSaga(_ name: String = "trip") -> Saga<Booking> {
    Saga(name, startedBy: TripAPI().booked) { Booking($0) }
}

func booked(_ id: String) -> NewEvent { TripAPI().booked(.init(id: id)) }
func paid(_ id: String, _ cents: Int = 1) -> NewEvent { TripAPI().paid(.init(id: id, cents: cents)) }
