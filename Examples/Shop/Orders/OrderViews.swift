import Dovetail

/// The read model. State and cursor change in one transaction, so each event counts once.
let orderViews = Projection(
    "order_views", version: 1,
    tables: """
        CREATE TABLE order_views (
            id TEXT PRIMARY KEY, user_id TEXT NOT NULL, status TEXT NOT NULL, cents BIGINT NOT NULL,
            item_count BIGINT NOT NULL, reason TEXT, created_at BIGINT NOT NULL)
        """,
    "CREATE INDEX order_views_by_user ON order_views (user_id, created_at)"
)
.on(Order.events.created) { order, views in
    let items = order.lines.reduce(0) { $0 + $1.quantity }
    try views.execute(
        """
        INSERT INTO order_views (id, user_id, status, cents, item_count, created_at)
        VALUES (\(order.orderID), \(order.userID), 'pending', \(order.cents), \(items), \(order.time))
        """)
}
.on(Order.events.confirmed) { order, views in
    try views.execute("UPDATE order_views SET status = 'confirmed' WHERE id = \(order.orderID)")
}
.on(Order.events.cancelled) { order, views in
    try views.execute(
        "UPDATE order_views SET status = 'cancelled', reason = \(order.reason) WHERE id = \(order.orderID)")
}
