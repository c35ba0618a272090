import DovetailCore
import NIOCore

/// What a request of the gateway's own has of the one that it is made for.
final class RequestOrigin {
    /// What it is made for.
    enum Purpose {
        /// To have another service say who calls.
        case authentication
        /// As an entry of a batch.
        case batch
        /// As a part of an aggregate.
        case aggregate
    }

    let purpose: Purpose
    private(set) weak var client: ClientConnection?
    /// The client's address, without its port.
    let address: String
    /// What upstreams are told of the way here.
    let forwardedFields: [UInt8]
    let forwardedElements: [UInt8]
    let isSecure: Bool
    /// The route it takes, where no path leads there.
    var route: CompiledRoute?
    /// Fields of the forwarding that are written in place of the usual `x-forwarded-host`, as lines.
    var forwarding: [UInt8]?
    /// When nobody waits for it any more.
    let deadline: MonotonicTime?
    /// Who it is for, where that was established already, and by whom.
    private let principal: VerifiedPrincipal?
    private let authenticatorName: String?
    private let granted: GrantedFields?

    init(_ purpose: Purpose, of exchange: Exchange) {
        self.purpose = purpose
        client = exchange.client
        address = exchange.client.address
        forwardedFields = exchange.client.forwardedFields
        forwardedElements = exchange.client.forwardedElements
        isSecure = exchange.client.isSecure
        deadline = exchange.deadline
        principal = exchange.principal
        granted = exchange.granted
        authenticatorName = exchange.route?.authenticatorName
    }

    /// Makes `exchange` its outer request's, if its route asks the same authenticator; false if it has to be asked.
    func vouches(for exchange: Exchange, on route: CompiledRoute) -> Bool {
        guard purpose != .authentication, authenticatorName != nil, route.authenticatorName == authenticatorName else {
            return false
        }
        exchange.principal = principal
        exchange.granted = granted
        return true
    }
}

/// Fields that another service has granted a request: those of the names that the client sent are not passed on.
final class GrantedFields {
    private let names: [[UInt8]]
    let fields: [(name: String, value: String)]
    /// The fields as lines.
    let lines: [UInt8]

    init(names: [[UInt8]], fields: [(name: String, value: String)]) {
        self.names = names.map { $0.map(withDash) }
        self.fields = fields
        lines = fields.flatMap { Array("\($0.name): \($0.value)\r\n".utf8) }
    }

    /// Whether a field of the client's goes.
    func replaces(_ name: UnsafeRawBufferPointer) -> Bool {
        names.contains { name.isAlike($0) }
    }
}
