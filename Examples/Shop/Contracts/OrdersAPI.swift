import Dovetail
import Foundation

/// What ordering promises. A command answers at once with the order's id; what becomes of it is an event, and a read model.
public struct OrdersAPI: Contract {
    public let name = "orders", version = 1
    public let place = Endpoint.post("/orders", Place.self, returns: Receipt.self)
        .requires("orders:write").idempotent().fails(empty, ProductsAPI.unknownProduct)
    public let get = Endpoint.get("/orders/{id}", Get.self, returns: View.self)
        .requires("orders:read").fails(notFound)
    public let ofUser = Endpoint.get("/users/{id}/orders", OfUser.self, returns: Page.self)
        .requires("orders:read").fails(notYours)

    public let created = Event("order.created", Created.self, key: \.orderID)
    public let confirmed = Event("order.confirmed", Closed.self, key: \.orderID)
    public let cancelled = Event("order.cancelled", Closed.self, key: \.orderID)

    public static let empty = Problem("order-empty", status: 422)
    public static let notFound = Problem("order-not-found", status: 404)
    public static let notYours = Problem("not-your-orders", status: 403)
    public static let closed = Problem("order-closed", status: 409)

    public init() {}

    public struct Place: Wire, Constrained {
        public var lines: [OrderLine]
        public static let constraints: Constraints = ["lines": .count(0...50)]
    }
    public struct Receipt: Wire { public var id: String, status: String }
    public struct Get: Wire { public var id: String }
    public struct View: Wire {
        public var id: String, userID: String, status: String, cents: Int, itemCount: Int
        public var reason: String?, createdAt: Date
    }
    public struct OfUser: Wire, Constrained {
        public var id: String, limit: Int?, skip: Int?
        public static let constraints: Constraints = ["limit": .range(1...1000), "skip": .range(0...1_000_000)]
    }
    public struct Page: Wire { public var orders: [View] }
    public struct Created: Wire { public var orderID: String, userID: String, lines: [OrderLine], cents: Int }
    public struct Closed: Wire { public var orderID: String, reason: String? = nil }
}
