import Dovetail

/// What the warehouse promises: stock is set aside for an order, or given back.
public struct InventoryAPI: Contract {
    public let name = "inventory", version = 1
    public let reserve = Endpoint.put("/reservations/{orderID}", Reserve.self, returns: Reservation.self)
        .fails(outOfStock, released)
    public let release = Endpoint.delete("/reservations/{orderID}", Release.self)
    public let stock = Endpoint.get("/stock", AskStock.self, returns: Stock.self)

    public let reserved = Event("stock.reserved", StockMoved.self, key: \.orderID)
    public let returned = Event("stock.returned", StockMoved.self, key: \.orderID)

    public static let outOfStock = Problem("out-of-stock", status: 409)
    public static let released = Problem("reservation-released", status: 409)

    public init() {}

    public struct Reserve: Wire { public var orderID: String, lines: [OrderLine] }
    public struct Reservation: Wire { public var orderID: String }
    public struct Release: Wire { public var orderID: String }
    public struct AskStock: Wire {}
    public struct Stock: Wire { public var products: [Level] }
    public struct Level: Wire { public var productID: String, available: Int }
    /// What was moved for an order, and what is left of each product after it.
    public struct StockMoved: Wire { public var orderID: String, lines: [OrderLine], left: [Level] }
}
