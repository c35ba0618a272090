import Dovetail

/// Stock in tables beside the log: a reservation and its event commit together.
let inventory = Module("inventory", provides: InventoryAPI()) { inventory in
    let events = InventoryAPI()

    inventory.tables(
        "CREATE TABLE stock (product_id TEXT PRIMARY KEY, available BIGINT NOT NULL CHECK (available >= 0))",
        "CREATE TABLE reservations (order_id TEXT PRIMARY KEY, state TEXT NOT NULL)",
        """
        CREATE TABLE reserved_lines (
            order_id TEXT NOT NULL, product_id TEXT NOT NULL, quantity BIGINT NOT NULL)
        """,
        "CREATE INDEX reserved_lines_by_order ON reserved_lines (order_id)",
        """
        INSERT INTO stock (product_id, available)
        VALUES ('anvil', 60), ('bellows', 250), ('chisel', 2000), ('dowel', 100000), ('easel', 2000)
        """
    )

    inventory.handle(\.reserve) { input, context in
        try await context.transaction { tables in
            let state = try tables.row(
                String.self, "SELECT state FROM reservations WHERE order_id = \(input.orderID)")
            if state == "held" { return .init(orderID: input.orderID) }  // asked before: the answer was lost
            guard state == nil else { throw InventoryAPI.released("the order's stock was already given back") }

            for line in input.lines {
                let taken = try tables.execute(
                    """
                    UPDATE stock SET available = available - \(line.quantity)
                    WHERE product_id = \(line.productID) AND available >= \(line.quantity)
                    """)
                guard taken == 1 else { throw InventoryAPI.outOfStock("too few of '\(line.productID)' are left") }
                try tables.execute(
                    "INSERT INTO reserved_lines VALUES (\(input.orderID), \(line.productID), \(line.quantity))")
            }
            try tables.execute("INSERT INTO reservations VALUES (\(input.orderID), 'held')")
            let left = try tables.levels(of: input.lines)
            try tables.publish(events.reserved(.init(orderID: input.orderID, lines: input.lines, left: left)))
            return .init(orderID: input.orderID)
        }
    }

    inventory.handle(\.release) { input, context in
        try await context.transaction { tables in
            let lines = try tables.rows(
                OrderLine.self, "SELECT product_id, quantity FROM reserved_lines WHERE order_id = \(input.orderID)")
            for line in lines {
                try tables.execute(
                    "UPDATE stock SET available = available + \(line.quantity) WHERE product_id = \(line.productID)")
            }
            try tables.execute("DELETE FROM reserved_lines WHERE order_id = \(input.orderID)")
            // Remembered even if nothing was held, so that a request which comes late finds the door closed.
            try tables.execute(
                """
                INSERT INTO reservations VALUES (\(input.orderID), 'released')
                ON CONFLICT (order_id) DO UPDATE SET state = 'released'
                """)
            if !lines.isEmpty {
                let left = try tables.levels(of: lines)
                try tables.publish(events.returned(.init(orderID: input.orderID, lines: lines, left: left)))
            }
            return Empty()
        }
    }

    inventory.handle(\.stock) { _, context in
        try await context.snapshot { tables in
            .init(
                products: try tables.rows(
                    InventoryAPI.Level.self, "SELECT product_id, available FROM stock ORDER BY product_id"))
        }
    }
}

extension Snapshot {
    /// What is left of the products of some lines.
    fileprivate func levels(of lines: [OrderLine]) throws -> [InventoryAPI.Level] {
        try Set(lines.map(\.productID)).sorted().compactMap { product in
            try row(InventoryAPI.Level.self, "SELECT product_id, available FROM stock WHERE product_id = \(product)")
        }
    }
}
