/// What crosses a module's border: decoded and encoded by `Codable`, passed between tasks.
public typealias Wire = Codable & Sendable

/// A module's promise to the others, as a value that both sides import.
///
/// Its stored properties are ``Endpoint``s and ``Event``s; from them come the provider's routes, the consumer's typed
/// client, the gateway's routes and retry safety, and the documents. The version is the major of its URL (`/v1/…`).
///
///     public struct InventoryAPI: Contract {
///         public let name = "inventory", version = 1
///         public let reserve = Endpoint.put("/reservations/{orderID}", Reserve.self, returns: Reservation.self)
///     }
public protocol Contract: Sendable {
    /// The contract's name: lower-case words and hyphens; by convention that of the module that provides it.
    var name: String { get }
    /// The major version, from 1. A change that breaks consumers is a new contract with the next number.
    var version: Int { get }
}

extension Contract {
    /// `orders@1`: how configuration, problems and logs name the contract.
    public var identity: String { "\(name)@\(version)" }

    /// The endpoints that the contract declares, with the names of their properties, in order.
    public var endpoints: [EndpointDescription] {
        Mirror(reflecting: self).children.compactMap { child in
            (child.value as? any AnyEndpoint)?.describe(as: child.label ?? "", in: self)
        }
    }

    /// The events that the contract declares, in order.
    public var events: [EventDescription] {
        Mirror(reflecting: self).children.compactMap { ($0.value as? any AnyEvent)?.description }
    }
}

/// The answer of an endpoint that has none: `204 No Content`.
public struct Empty: Wire, Equatable {
    /// Nothing.
    public init() {}
}
