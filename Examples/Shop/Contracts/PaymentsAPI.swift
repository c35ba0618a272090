import Dovetail

/// What the cashier promises: an order is charged once, however often it is asked for, and can be refunded.
public struct PaymentsAPI: Contract {
    public let name = "payments", version = 1
    public let charge = Endpoint.put("/charges/{orderID}", Charge.self, returns: Receipt.self)
        .timeout(.seconds(4)).fails(declined, refunded)
    public let refund = Endpoint.delete("/charges/{orderID}", Refund.self).timeout(.seconds(4))

    public let charged = Event("payment.charged", Moved.self, key: \.orderID)
    public let refundedEvent = Event("payment.refunded", Moved.self, key: \.orderID)

    public static let declined = Problem("card-declined", status: 402)
    public static let refunded = Problem("charge-refunded", status: 409)

    public init() {}

    public struct Charge: Wire { public var orderID: String, cents: Int }
    public struct Receipt: Wire { public var id: String }
    public struct Refund: Wire { public var orderID: String }
    public struct Moved: Wire { public var orderID: String, cents: Int }
}
