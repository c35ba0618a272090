import Dovetail

/// Which order has a return: changed in the transaction of the return's own events, so that of two which are announced at one time one is refused.
let openReturns = Projection(
    "open_returns", version: 1, tables: "CREATE TABLE open_returns (order_id TEXT PRIMARY KEY, return_id TEXT NOT NULL)"
)
.on(Return.events.requested) { request, tables in
    let isFree = try tables.execute(
        "INSERT INTO open_returns VALUES (\(request.orderID), \(request.returnID)) ON CONFLICT DO NOTHING")
    guard isFree == 1 else { throw ReturnsAPI.underWay("the order \(request.orderID) is being returned already") }
}
.on(Return.events.refused) { closed, tables in  // what was refused may be tried again
    try tables.execute("DELETE FROM open_returns WHERE return_id = \(closed.returnID)")
}

/// How each return stands: a read model that follows.
let returnViews = Projection(
    "return_views", version: 1,
    tables: """
        CREATE TABLE return_views (
            id TEXT PRIMARY KEY, user_id TEXT NOT NULL, order_id TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
            refusal TEXT)
        """
)
.on(Return.events.requested) { request, views in
    try views.execute(
        """
        INSERT INTO return_views (id, user_id, order_id, status, reason)
        VALUES (\(request.returnID), \(request.userID), \(request.orderID), 'announced', \(request.reason.rawValue))
        """)
}
.on(Return.events.arrived) { arrived, views in
    try views.execute("UPDATE return_views SET status = 'arrived' WHERE id = \(arrived.returnID)")
}
.on(Return.events.accepted) { closed, views in
    try views.execute("UPDATE return_views SET status = 'accepted' WHERE id = \(closed.returnID)")
}
.on(Return.events.refused) { closed, views in
    try views.execute(
        "UPDATE return_views SET status = 'refused', refusal = \(closed.refusal) WHERE id = \(closed.returnID)")
}
