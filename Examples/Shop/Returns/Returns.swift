import Dovetail

/// Goods that come back. Another module than orders, which know nothing of it: it asks them what it has to know.
let returns = Module("returns", provides: ReturnsAPI()) { returns in
    let orders = returns.client(OrdersAPI())
    let events = ReturnsAPI()

    returns.handle(\.start) { input, context in
        let order = try await orders.get(.init(id: input.orderID))  // as the customer, who sees no others
        guard order.status == "confirmed" else {
            throw ReturnsAPI.notConfirmed(
                "the order \(order.id) is \(order.status); only what was delivered comes back")
        }
        let request = ReturnsAPI.Requested(
            returnID: context.newID, orderID: order.id, userID: order.userID, cents: order.cents, reason: input.reason)
        try await context.execute(Return.aggregate, request.returnID) { $0.announce(request) }
        return .init(id: request.returnID, status: "announced")
    }
    returns.handle(\.get) { input, context in
        let user = context.principal?.subject ?? ""
        return try await context.one(
            ReturnsAPI.View.self, "SELECT * FROM return_views WHERE id = \(input.id) AND user_id = \(user)",
            or: ReturnsAPI.unknown("you have no return \(input.id)"))
    }
    // A line now, and another with each change, until the customer has seen enough.
    returns.handle(\.progress) { input, context in
        let user = context.principal?.subject ?? ""
        return AnswerStream(
            context.changes {
                try $0.row(
                    ReturnsAPI.View.self, "SELECT * FROM return_views WHERE id = \(input.id) AND user_id = \(user)")
            }.compactMap { $0 })
    }
    returns.handle(\.arrive) { input, context in
        let (state, _) = try await context.state(Return.aggregate, input.id)
        guard state != .new else { throw ReturnsAPI.unknown("no return \(input.id) was announced") }
        try await context.publish(events.arrived(.init(returnID: input.id, weighsGrams: input.weighsGrams)))
        return Empty()
    }
    returns.handle(\.credit) { input, context in
        guard context.principal?.subject == input.id else {
            throw ReturnsAPI.notYours("only your own credit is shown to you")
        }
        let (credit, _) = try await context.state(
            Credit.aggregate, input.id, asOf: input.at.map { .time($0) } ?? .now)
        return .init(cents: credit.cents)
    }

    returns.decides(on: Return.aggregate)
    returns.decides(on: Credit.aggregate)
    returns.project(openReturns, with: Return.aggregate)
    returns.project(returnViews)
    returns.run(handleReturn(returns.client(InventoryAPI())))
}
