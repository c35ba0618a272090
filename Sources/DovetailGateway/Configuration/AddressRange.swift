import DovetailCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A range of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address (RFC 4632 3.1, RFC 4291 2.3).
public struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    /// The range as written.
    public let description: String
    private let prefix: [UInt8]
    private let bits: Int

    /// Reads a range; nil if `text` is none.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let bytes = AddressRange.bytes(of: String(parts[0])) else { return nil }
        var bits = bytes.count * 8
        if parts.count == 2 {
            guard let number = Int(parts[1]), (0...bits).contains(number), parts[1].allSatisfy(\.isWholeNumber) else {
                return nil
            }
            bits = number
        }
        description = text
        prefix = bytes
        self.bits = bits
    }

    /// Whether the range holds an address, as ``bytes(of:)`` gives it.
    func contains(_ address: [UInt8]) -> Bool {
        guard address.count == prefix.count else { return false }
        let whole = bits / 8
        guard address.prefix(whole).elementsEqual(prefix.prefix(whole)) else { return false }
        let rest = bits % 8
        return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0
    }

    /// Whether the range holds all of another.
    public func contains(_ other: AddressRange) -> Bool { bits <= other.bits && contains(other.prefix) }

    /// Four or sixteen bytes as an address is written; nil for any other number.
    static func text(of bytes: [UInt8]) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard bytes.count == 4 || bytes.count == 16,
            inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil
        else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// An address's four or sixteen bytes; an IPv4 address that came as IPv6 is the IPv4 address (RFC 4291 2.5.5.2).
    static func bytes(of text: String) -> [UInt8]? {
        // C would read no further than to the first of these.
        guard !text.utf8.contains(0) else { return nil }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: four) { Array($0) } }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: six) { Array($0) }
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return bytes.starts(with: mapped) ? Array(bytes[12...]) : bytes
    }
}

/// Whose requests a route takes, by their addresses.
public struct AddressFilter: Sendable, Hashable {
    /// Who may come; empty for everyone.
    public var allow: [AddressRange]
    /// Who may not, of those.
    public var deny: [AddressRange]

    /// A filter.
    public init(allow: [AddressRange] = [], deny: [AddressRange] = []) {
        self.allow = allow
        self.deny = deny
    }

    /// Whether somebody at `address` may come; one whose address is not known may not.
    func admits(_ address: [UInt8]?) -> Bool {
        guard let address else { return false }
        return !deny.contains { $0.contains(address) } && (allow.isEmpty || allow.contains { $0.contains(address) })
    }
}

extension Exchange {
    /// Whether the client may use the route from where it is; false if the request was answered.
    func admitAddress() -> Bool {
        guard let filter = route?.addresses, !filter.admits(client.addressBytes) else { return true }
        reject(
            .forbidden,
            Problem("address-not-allowed", status: 403, detail: "this cannot be reached from the client's address"))
        return false
    }
}
