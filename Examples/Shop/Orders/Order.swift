import Dovetail

/// The decisions. Pure: a test needs no platform.
enum Order: String, Wire {
    case new, pending, confirmed, cancelled

    static let events = OrdersAPI()
    static let aggregate = Aggregate("order", Order.new)
        .apply(events.created) { order, _ in order = .pending }
        .apply(events.confirmed) { order, _ in order = .confirmed }
        .apply(events.cancelled) { order, _ in order = .cancelled }

    func place(_ id: String, for userID: String, _ lines: [OrderLine], cents: Int) throws -> [NewEvent] {
        guard !lines.isEmpty else { throw OrdersAPI.empty("an order has at least one line") }
        guard self == .new else { throw OrdersAPI.closed("the order is already \(rawValue)") }
        return [Self.events.created(.init(orderID: id, userID: userID, lines: lines, cents: cents))]
    }

    func close(_ event: NewEvent) throws -> [NewEvent] {
        guard self == .pending else { throw OrdersAPI.closed("the order is already \(rawValue)") }
        return [event]
    }
}
