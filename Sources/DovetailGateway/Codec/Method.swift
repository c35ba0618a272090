import HTTPTypes

/// The methods of RFC 9110 9 and RFC 5789 that a gateway knows, and any other.
enum Method: UInt8, Sendable {
    case get, head, post, put, patch, delete, options
    /// One that a gateway forwards without knowing what it means: neither safe nor to be sent twice, as far as it can tell.
    case other

    /// Those that have a meaning here.
    static var known: [Method] { [.get, .head, .post, .put, .patch, .delete, .options] }
    /// The longest name of one that has none.
    static let longestName = 32

    /// Whether a method of this name is forwarded: not those that are between a client and its next hop (RFC 9110 9.3.6 and 9.3.8).
    static func isForwarded(_ name: UnsafeRawBufferPointer) -> Bool {
        !name.isEmpty && name.count <= longestName && name.allSatisfy(ByteClass.token.contains) && !name.equals("TRACE")
            && !name.equals("CONNECT")
    }

    /// Upper case, as on the wire; of another nothing.
    var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .other: ""
        }
    }

    /// The same for others; nil for one that has no name here.
    var request: HTTPRequest.Method? {
        switch self {
        case .get: .get
        case .head: .head
        case .post: .post
        case .put: .put
        case .patch: .patch
        case .delete: .delete
        case .options: .options
        case .other: nil
        }
    }

    /// Whether it asks for nothing to be changed (RFC 9110 9.2.1).
    var isSafe: Bool { self == .get || self == .head || self == .options }

    /// Whether sending twice does no more than sending once (RFC 9110 9.2.2).
    var isIdempotent: Bool { self != .post && self != .patch && self != .other }

    /// The known method that `bytes` name exactly; method names are case-sensitive (RFC 9110 9.1).
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

/// A set of methods in a byte; those that are not known are in it or not, all together.
struct MethodSet: Sendable, Hashable {
    var bits: UInt8 = 0

    @inline(__always)
    func contains(_ method: Method) -> Bool { bits >> method.rawValue & 1 == 1 }

    mutating func insert(_ method: Method) { bits |= 1 << method.rawValue }

    static var all: MethodSet { MethodSet(bits: 0xFF) }

    /// As in `Allow`: `GET, HEAD`.
    var description: String {
        Method.known.filter(contains).map { $0.name.description }.joined(separator: ", ")
    }
}
