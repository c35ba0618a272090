import Dovetail

/// Commands are decided on an aggregate, queries read a view, the saga does the rest.
let orders = Module("orders", provides: OrdersAPI()) { orders in
    let products = orders.client(ProductsAPI())

    orders.handle(\.place) { input, context in
        let user = try context.customer
        let quote = try await products.quote(.init(lines: input.lines))
        let id = context.newID  // the same for the same idempotency key
        try await context.execute(Order.aggregate, id) {
            try $0.place(id, for: user, input.lines, cents: quote.cents)
        }
        return .init(id: id, status: "pending")
    }
    orders.handle(\.get) { input, context in
        let user = try context.customer
        return try await context.one(
            OrdersAPI.View.self, "SELECT * FROM order_views WHERE id = \(input.id) AND user_id = \(user)",
            or: OrdersAPI.notFound("you have no order \(input.id)"))
    }
    orders.handle(\.ofUser) { input, context in
        guard try context.customer == input.id else {
            throw OrdersAPI.notYours("only your own orders are shown to you")
        }
        return .init(
            orders: try await context.rows(
                OrdersAPI.View.self,
                """
                SELECT * FROM order_views WHERE user_id = \(input.id)
                ORDER BY created_at DESC, id LIMIT \(input.limit ?? 50) OFFSET \(input.skip ?? 0)
                """))
    }

    orders.decides(on: Order.aggregate)
    orders.project(orderViews)
    orders.run(placeOrder(orders.client(InventoryAPI()), orders.client(PaymentsAPI())))
}

extension HandlerContext {
    /// Who the call is for, as the gateway authenticated it.
    fileprivate var customer: String {
        get throws {
            guard let principal = self.principal else {
                throw Problem("unauthenticated", status: 401)("a customer's token is needed")
            }
            return principal.subject
        }
    }
}
