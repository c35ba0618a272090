import Foundation
import NIOCore

/// Why a server cannot listen.
public struct ListenError: Error, Sendable, CustomStringConvertible {
    /// What is in the way.
    public enum Code: String, Sendable {
        /// Another process, or this one, listens there already.
        case addressInUse
        /// The system does not let this user listen there.
        case notPermitted
        /// The host is none of this machine's addresses, or its name means nothing.
        case addressNotAvailable
        /// The Unix socket's path cannot be one: too long, without a directory, or another file's.
        case invalidPath
        /// Something else.
        case failed
    }

    /// What is in the way.
    public let code: Code
    /// Where the server was to listen.
    public let address: HTTPAddress
    /// Who listens there already, where that can be found out.
    public let owner: AddressOwner?
    /// What happened, and what to do about it.
    public let message: String

    init(_ code: Code, _ address: HTTPAddress, owner: AddressOwner? = nil, _ message: String) {
        self.code = code
        self.address = address
        self.owner = owner
        self.message = message
    }

    /// What the system's error means for someone who wants to listen on `address`.
    init(_ address: HTTPAddress, cause: any Error) {
        switch (cause as? IOError)?.errnoCode {
        case EADDRINUSE:
            self = .inUse(address)
        case EACCES, EPERM:
            let privileged = if case .tcp(_, let port) = address { port < 1024 } else { false }
            self.init(
                .notPermitted, address,
                privileged ? "ports below 1024 need privileges; take a higher port" : "the system does not permit it")
        case EADDRNOTAVAIL:
            self.init(.addressNotAvailable, address, "the host is none of this machine's addresses")
        default:
            if cause is SocketAddressError {
                self.init(.addressNotAvailable, address, "the host's name has no address")
            } else {
                self.init(.failed, address, "\(cause)")
            }
        }
    }

    /// Somebody else listens on `address`: whose process it is, where that can be found out.
    package static func inUse(_ address: HTTPAddress) -> ListenError {
        inUse(address, by: AddressOwner.listening(on: address))
    }

    static func inUse(_ address: HTTPAddress, by owner: AddressOwner?) -> ListenError {
        let whose = owner.map { "in use by \($0)" } ?? "in use by another process"
        return ListenError(
            .addressInUse, address, owner: owner, "the address is \(whose); stop that, or listen elsewhere")
    }

    public var description: String { "cannot listen on \(address): \(message)" }
}
