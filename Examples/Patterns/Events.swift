import Dovetail
import Foundation

/// Parcels that are sent, and what is told of them.
struct ParcelsAPI: Contract {
    let name = "parcels", version = 1
    let send = Endpoint.post("/parcels", Parcel.self, returns: Parcel.self).idempotent()
    let sent = Event("parcel.sent", Parcel.self, key: \.customer)
    let reminder = Event("parcel.reminder", Parcel.self, key: \.customer)

    struct Parcel: Wire {
        var id: String, customer: String, country: String, value: Int
    }
}

/// Mail that goes out to customers.
protocol Mailer: Sendable {
    func send(_ text: String, to customer: String, key: String) async throws
}

/// A module that publishes with its own rows, schedules, and handles what others publish.
func parcels(mailer: any Mailer) -> Module {
    Module("parcels", provides: ParcelsAPI()) { parcels in
        let api = ParcelsAPI()
        parcels.tables("CREATE TABLE parcels (id TEXT PRIMARY KEY, customer TEXT NOT NULL, reminder TEXT NOT NULL)")

        parcels.handle(\.send) { parcel, context in
            // Row, event and reminder are there together, or none of them; under the caller's key, once.
            try await context.once { transaction in
                try transaction.publish(api.sent(parcel).with("region", parcel.country))
                let reminder = try transaction.schedule(
                    api.reminder(parcel), at: Date().addingTimeInterval(7 * 86_400))
                try transaction.execute("INSERT INTO parcels VALUES (\(parcel.id), \(parcel.customer), \(reminder))")
                return parcel
            }
        }

        parcels.subscribe(
            "customs", to: api.sent,
            configure: {
                $0.filter = .data("value") > 1000 && .attribute("region") != "DE"
                $0.start = .now
                $0.concurrency = 4
                $0.redelivery.delayed = 10
            },
            { parcel, context in
                // Called at least once for each event; the mailer knows a second call by its key.
                try await mailer.send(
                    "declare parcel \(parcel.id)", to: "customs", key: context.call.idempotencyKey ?? "")
            })
    }
}

/// The log and the bus by themselves, without a platform around them.
func watchParcels(_ log: any EventLog, views: any Database, mailer: any Mailer) async throws {
    let sent = ParcelsAPI().sent
    let bus = EventBus(
        log: log,
        subscriptions: [
            // Each event at least once; those of one customer in order, others beside them.
            Subscription("mails", on: sent) { parcel, delivery in
                try await mailer.send("sent: \(parcel.id)", to: parcel.customer, key: "\(parcel.event.id)")
            },
            // The effect once: it is in the transaction that moves the subscription's place.
            Subscription(
                "totals", to: ["parcel.*"],
                handler: .effectivelyOnce(in: views) { event, transaction in
                    try transaction.execute(
                        "INSERT INTO totals VALUES (\(event.key), 1) ON CONFLICT (customer) DO UPDATE SET n = totals.n + 1"
                    )
                }),
            // At most once: nothing twice, and what is under way is lost with the process.
            Subscription("lamp", to: ["parcel.#"], handler: .atMostOnce { event in print("blink", event.type) }),
        ])
    try await bus.run()
}

/// Effects in a database that is not the log's, with handlers that run beside each other: the inbox remembers.
func chargeOnce(in database: any Database) async throws -> Subscription {
    let inbox = Inbox("charges", window: .seconds(30 * 86_400))
    try await inbox.prepare(database)
    return Subscription("charges", on: ParcelsAPI().sent) { parcel, _ in
        try await database.transaction { transaction in
            guard try inbox.accept(parcel.event.id, in: transaction) else { return }
            try transaction.execute("INSERT INTO charges VALUES (\(parcel.customer), \(parcel.value))")
        }
    }
}

/// A new handler is shown last week's events before it is let near new ones.
func rehearse(_ bus: EventBus, _ handler: @escaping @Sendable (StoredEvent, Delivery) async throws -> Void) async throws
{
    let lastWeek = Date().addingTimeInterval(-7 * 86_400)
    let result = try await bus.replay("mails", from: .time(lastWeek), into: handler)
    print("\(result.handled) would have gone well")
    for failure in result.failures { print("at \(failure.position): \(failure.error)") }
}
