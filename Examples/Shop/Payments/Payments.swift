import Dovetail

/// Charges in a table; the idempotency key and the answer are kept in the same transaction, so a repeated request is answered, not repeated.
let payments = Module("payments", provides: PaymentsAPI()) { payments in
    let events = PaymentsAPI()
    let weather = Weather.fromEnvironment

    payments.tables(
        "CREATE TABLE charges (order_id TEXT PRIMARY KEY, cents BIGINT NOT NULL, receipt TEXT, state TEXT NOT NULL)"
    )

    payments.handle(\.charge) { input, context in
        try await weather.beforeWork()
        let receipt = try await context.once { tables in
            let charge = try tables.row(Charge.self, "SELECT * FROM charges WHERE order_id = \(input.orderID)")
            if charge?.state == "charged", let id = charge?.receipt { return PaymentsAPI.Receipt(id: id) }
            guard charge == nil else { throw PaymentsAPI.refunded("the order's charge was already given back") }
            guard !weather.declines(input.orderID) else { throw PaymentsAPI.declined("the bank has declined the card") }

            let receipt = UniqueID.derived(from: "receipt", input.orderID).description
            try tables.execute(
                "INSERT INTO charges VALUES (\(input.orderID), \(input.cents), \(receipt), 'charged')")
            for _ in 0..<weather.timesCharged {
                try tables.publish(events.charged(.init(orderID: input.orderID, cents: input.cents)))
            }
            return PaymentsAPI.Receipt(id: receipt)
        }
        try await weather.afterWork(input.orderID)
        return receipt
    }

    payments.handle(\.refund) { input, context in
        try await weather.beforeWork()
        return try await context.transaction { tables in
            let charge = try tables.row(Charge.self, "SELECT * FROM charges WHERE order_id = \(input.orderID)")
            // Remembered even if nothing was charged, so that a charge which comes late finds the door closed.
            try tables.execute(
                """
                INSERT INTO charges VALUES (\(input.orderID), 0, NULL, 'refunded')
                ON CONFLICT (order_id) DO UPDATE SET state = 'refunded'
                """)
            if let charge, charge.state == "charged", !weather.losesRefunds {
                try tables.publish(events.refundedEvent(.init(orderID: input.orderID, cents: charge.cents)))
            }
            return Empty()
        }
    }
}

private struct Charge: Decodable {
    var orderID: String, cents: Int, receipt: String?, state: String
}
