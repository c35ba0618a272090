import AsyncHTTPClient
import DovetailCore
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

extension CallError {
    /// What a failure of the client library says about a call: the error to throw for it.
    ///
    /// Where it is open whether the request arrived, it counts as sent: a command that ran must not be said not to have.
    static func of(_ error: any Error, callee: String) -> any Error {
        switch error {
        case is CallError, is CancellationError: return error
        case _ where Task.isCancelled: return CancellationError()
        case let error as HTTPClientError: return of(error, callee)
        case let error as NIOConnectionError:
            return unreachable(callee, "no connection: \(error.reason)")
        case is SocketAddressError:
            return unreachable(callee, "no connection: the address means nothing")
        case let error as IOError where connectFailures.contains(error.errnoCode):
            return unreachable(callee, "no connection: \(String(cString: strerror(error.errnoCode)))")
        case HTTPParserError.invalidEOFState:
            return lost(callee, "the connection was closed before the answer was whole")
        case is HTTPParserError:
            return CallError(.invalidAnswer, callee: callee, message: "the answer is not HTTP", wasSent: true)
        default:
            return lost(callee, "the connection failed: \(error)")
        }
    }

    private static func of(_ error: HTTPClientError, _ callee: String) -> CallError {
        switch error {
        case .deadlineExceeded:
            CallError(.deadlineExceeded, callee: callee, message: "no answer by the deadline", wasSent: true)
        case .connectTimeout:
            unreachable(callee, "no connection could be made in time")
        case .getConnectionFromPoolTimeout:
            unreachable(callee, "all connections were busy; none became free in time")
        case .alreadyShutdown:
            unreachable(callee, "the transport is shut down")
        case .remoteConnectionClosed, .uncleanShutdown:
            lost(callee, "the connection was closed before the answer was whole")
        case .cancelled, .readTimeout, .writeTimeout:
            lost(callee, "the exchange was broken off: \(error.shortDescription)")
        default:
            unreachable(callee, "the request cannot be sent: \(error.shortDescription)")
        }
    }

    private static func unreachable(_ callee: String, _ message: String) -> CallError {
        CallError(.unreachable, callee: callee, message: message, wasSent: false)
    }

    private static func lost(_ callee: String, _ message: String) -> CallError {
        CallError(.answerLost, callee: callee, message: message, wasSent: true)
    }

    /// Errors that `connect` has and an established connection does not.
    private static let connectFailures: Set<CInt> = [
        ENOENT, ECONNREFUSED, EACCES, EPERM, ENOTSOCK, ENOTDIR, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, ENETDOWN,
    ]
}

extension Error {
    /// Whether the connection ended before any of the answer was there.
    var isClosedConnection: Bool {
        switch self {
        case let error as HTTPClientError: error == .remoteConnectionClosed || error == .uncleanShutdown
        case let error as IOError: error.errnoCode == ECONNRESET || error.errnoCode == EPIPE
        case let error as ChannelError: error == .ioOnClosedChannel || error == .alreadyClosed || error == .eof
        default: false
        }
    }
}

extension NIOConnectionError {
    /// The first thing that went wrong, in the system's words.
    fileprivate var reason: String {
        if let failure = connectionErrors.first {
            guard let error = failure.error as? IOError else { return "\(failure.error)" }
            return String(cString: strerror(error.errnoCode))
        }
        return dnsAError == nil && dnsAAAAError == nil ? "no address" : "the host '\(host)' is not known"
    }
}
