import Dovetail
import Foundation

/// What happens when goods come back: they are announced, sent in and looked at, and their price becomes credit.
public struct ReturnsAPI: Contract {
    public let name = "returns", version = 1
    public let start = Endpoint.post("/returns", Start.self, returns: Receipt.self)
        .requires("orders:write").idempotent().fails(notConfirmed, underWay)
    public let get = Endpoint.get("/returns/{id}", ByID.self, returns: View.self).requires("orders:read").fails(unknown)
    public let progress = Endpoint.get("/returns/{id}/progress", ByID.self, streams: View.self).requires("orders:read")
    public let arrive = Endpoint.post("/returns/{id}/arrival", Arrive.self).requires("warehouse").idempotent()
        .fails(unknown)
    public let credit = Endpoint.get("/users/{id}/credit", OfUser.self, returns: Balance.self)
        .requires("orders:read").fails(notYours)

    /// Its first version did not ask for a reason, and those in the log have none.
    public let requested = Event("return.requested", RequestedV1.self, key: \.returnID)
        .upcast(to: Requested.self, key: \.returnID) {
            Requested(
                returnID: $0.returnID, orderID: $0.orderID, userID: $0.userID, cents: $0.cents, reason: .notAsked)
        }
    public let arrived = Event("return.arrived", Arrived.self, key: \.returnID)
    public let accepted = Event("return.accepted", Closed.self, key: \.returnID)
    public let refused = Event("return.refused", Closed.self, key: \.returnID)
    public let credited = Event("credit.granted", Credited.self, key: \.userID)

    public static let notConfirmed = Problem("order-not-confirmed", status: 409)
    public static let underWay = Problem("return-under-way", status: 409)
    public static let unknown = Problem("return-not-found", status: 404)
    public static let notYours = Problem("not-your-credit", status: 403)

    public init() {}

    public enum Reason: String, Wire, CaseIterable { case notAsked, broken, wrong, unwanted }
    public struct Start: Wire { public var orderID: String, reason: Reason }
    public struct Receipt: Wire { public var id: String, status: String }
    public struct ByID: Wire { public var id: String }
    public struct Arrive: Wire { public var id: String, weighsGrams: Int }
    public struct View: Wire, Equatable {
        public var id: String, orderID: String, status: String, reason: Reason, refusal: String?
    }
    /// As of now, or as it was at a time.
    public struct OfUser: Wire { public var id: String, at: Date? }
    public struct Balance: Wire { public var cents: Int }

    public struct RequestedV1: Wire { public var returnID: String, orderID: String, userID: String, cents: Int }
    public struct Requested: Wire {
        public var returnID: String, orderID: String, userID: String, cents: Int, reason: Reason
    }
    public struct Arrived: Wire { public var returnID: String, weighsGrams: Int }
    public struct Closed: Wire { public var returnID: String, refusal: String? = nil }
    public struct Credited: Wire { public var userID: String, returnID: String, cents: Int }
}
