import HTTPTypes

/// The methods of RFC 9110 9 and RFC 5789 that a gateway forwards.
enum Method: UInt8, Sendable, CaseIterable {
    case get, head, post, put, patch, delete, options

    /// Upper case, as on the wire.
    var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        }
    }

    var request: HTTPRequest.Method {
        switch self {
        case .get: .get
        case .head: .head
        case .post: .post
        case .put: .put
        case .patch: .patch
        case .delete: .delete
        case .options: .options
        }
    }

    /// Whether it asks for nothing to be changed (RFC 9110 9.2.1).
    var isSafe: Bool { self == .get || self == .head || self == .options }

    /// Whether sending twice does no more than sending once (RFC 9110 9.2.2).
    var isIdempotent: Bool { self != .post && self != .patch }

    /// The method that `bytes` name exactly; method names are case-sensitive (RFC 9110 9.1).
    init?(_ bytes: UnsafeRawBufferPointer) {
        switch bytes.count {
        case 3:
            if bytes.equals("GET") { self = .get } else if bytes.equals("PUT") { self = .put } else { return nil }
        case 4:
            if bytes.equals("POST") { self = .post } else if bytes.equals("HEAD") { self = .head } else { return nil }
        case 5: if bytes.equals("PATCH") { self = .patch } else { return nil }
        case 6: if bytes.equals("DELETE") { self = .delete } else { return nil }
        case 7: if bytes.equals("OPTIONS") { self = .options } else { return nil }
        default: return nil
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes are exactly `text`.
    @inline(__always)
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        let other = text.utf8Start
        for index in 0..<count where self[index] != other[index] { return false }
        return true
    }
}

/// A set of methods in a byte.
struct MethodSet: Sendable, Hashable {
    var bits: UInt8 = 0

    @inline(__always)
    func contains(_ method: Method) -> Bool { bits >> method.rawValue & 1 == 1 }

    mutating func insert(_ method: Method) { bits |= 1 << method.rawValue }

    static var all: MethodSet { MethodSet(bits: 0x7F) }

    /// As in `Allow`: `GET, HEAD`.
    var description: String {
        Method.allCases.filter(contains).map { $0.name.description }.joined(separator: ", ")
    }
}
