/// What a load balancer says in front of a connection's own bytes: the PROXY protocol, version 1 in text and version 2 in binary.
struct ProxyHeader: Equatable {
    /// What came of reading one.
    enum Outcome: Equatable {
        case header(ProxyHeader)
        /// More of it has to come.
        case incomplete
        /// It is none; nothing that follows can be believed.
        case malformed
    }

    /// The address of who made the connection; nil if it is the balancer's own, or of a kind that has no address.
    var source: String?
    /// How many bytes it takes.
    var length: Int

    /// CR LF CR LF NUL CR LF QUIT LF.
    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]
    private static let prefix = Array("PROXY ".utf8)
    /// With its CRLF.
    private static let longestLine = 107
    /// With its extensions, which are not looked at.
    private static let longestBlock = 4096

    /// Reads one from the beginning of what has come.
    static func read(_ bytes: some Collection<UInt8>) -> Outcome {
        let bytes = Array(bytes.prefix(16 + longestBlock))
        if begins(bytes, with: signature) { return bytes.count < 16 ? .incomplete : binary(bytes) }
        guard begins(bytes, with: prefix) else { return .malformed }
        guard let feed = bytes.prefix(longestLine).firstIndex(of: 0x0A) else {
            return bytes.count < longestLine ? .incomplete : .malformed
        }
        guard feed > 0, bytes[feed - 1] == 0x0D else { return .malformed }
        return line(bytes[0..<(feed - 1)], length: feed + 1)
    }

    /// Whether one begins with the other, as far as either goes.
    private static func begins(_ bytes: [UInt8], with start: [UInt8]) -> Bool {
        zip(bytes, start).allSatisfy { $0 == $1 }
    }

    private static func line(_ line: ArraySlice<UInt8>, length: Int) -> Outcome {
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count >= 2 else { return .malformed }
        let family = Array(parts[1])
        if family == Array("UNKNOWN".utf8) { return .header(ProxyHeader(source: nil, length: length)) }
        let isSix = family == Array("TCP6".utf8)
        guard isSix || family == Array("TCP4".utf8), parts.count == 6, isPort(parts[4]), isPort(parts[5]),
            let source = address(parts[2], isSix: isSix), address(parts[3], isSix: isSix) != nil
        else { return .malformed }
        return .header(ProxyHeader(source: source, length: length))
    }

    private static func address(_ bytes: ArraySlice<UInt8>, isSix: Bool) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.contains(":") == isSix, let known = AddressRange.bytes(of: text) else { return nil }
        return AddressRange.text(of: known)
    }

    private static func isPort(_ digits: ArraySlice<UInt8>) -> Bool {
        guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            digits.count == 1 || digits.first != 0x30
        else { return false }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } <= 65_535
    }

    private static func binary(_ bytes: [UInt8]) -> Outcome {
        let size = Int(bytes[14]) << 8 | Int(bytes[15])
        guard bytes[12] >> 4 == 2, bytes[12] & 0x0F <= 1, size <= longestBlock else { return .malformed }
        let length = 16 + size
        // LOCAL: the balancer asks for itself, as for a health check.
        let isLocal = bytes[12] & 0x0F == 0
        let source: Range<Int>?
        switch (isLocal, bytes[13]) {
        case (true, _), (false, 0x00), (false, 0x31), (false, 0x32): source = nil
        case (false, 0x11): source = 16..<20
        case (false, 0x21): source = 16..<32
        default: return .malformed
        }
        if let source, size < source.count * 2 + 4 { return .malformed }
        guard bytes.count >= length else { return .incomplete }
        guard let source else { return .header(ProxyHeader(source: nil, length: length)) }
        let text = AddressRange.text(of: Array(bytes[source]))
        // An IPv4 address that comes as IPv6 is the IPv4 address, as everywhere.
        let known = text.flatMap(AddressRange.bytes(of:)).flatMap(AddressRange.text(of:))
        return known.map { .header(ProxyHeader(source: $0, length: length)) } ?? .malformed
    }
}
