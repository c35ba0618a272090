import Dovetail

/// What the saga remembers between its steps.
struct PlacingOrder: Wire {
    var order: OrdersAPI.Created
    var reservation: InventoryAPI.Reservation?
    var receipt: PaymentsAPI.Receipt?
}

/// From a created order to a confirmed one, or back: a definition, not a script, so it can be drawn, checked, and resumed at any step.
func placeOrder(_ inventory: Client<InventoryAPI>, _ payments: Client<PaymentsAPI>) -> Saga<PlacingOrder> {
    Saga("place-order", startedBy: Order.events.created) { PlacingOrder(order: $0) }
        .step("reserve stock", into: \.reservation) { saga in
            try await inventory.reserve(.init(orderID: saga.order.orderID, lines: saga.order.lines))
        } undo: { saga in  // by the order's key: a lost answer has left no reservation to name
            _ = try await inventory.release(.init(orderID: saga.order.orderID))
        }
        .step("charge payment", into: \.receipt) { saga in
            try await payments.charge(.init(orderID: saga.order.orderID, cents: saga.order.cents))
        } undo: { saga in
            _ = try await payments.refund(.init(orderID: saga.order.orderID))
        }
        .pivot()  // from here on only forward
        .step("confirm order") { saga, context in
            let confirmed = Order.events.confirmed(.init(orderID: saga.order.orderID))
            try await context.execute(Order.aggregate, saga.order.orderID) { try $0.close(confirmed) }
        }
        .compensated { saga, problem, context in
            let cancelled = Order.events.cancelled(.init(orderID: saga.order.orderID, reason: problem.type))
            try await context.execute(Order.aggregate, saga.order.orderID) { try $0.close(cancelled) }
        }
        .policy(SagaPolicy(attempts: 3, backoff: .seconds(1)))  // then a step in doubt is undone, not waited for
}
