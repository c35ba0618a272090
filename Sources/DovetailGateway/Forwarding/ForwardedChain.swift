/// Who a request came from and by which proxies: what of it is known by the connection, and what of it a trusted proxy says.
///
/// Each proxy adds whom it got the request from at the right of `X-Forwarded-For`. So the list is read from the right, as long as the one who has
/// written an entry is trusted: the first entry that is no trusted proxy is the client, and whatever stands left of it anybody may have written.
struct ForwardedChain: Equatable {
    /// The most entries that are looked at.
    private static let longest = 32

    /// The client first, then the proxies from there to here.
    private(set) var addresses: [String]
    /// Whether the client came over TLS.
    private(set) var isSecure: Bool

    /// What the connection itself tells.
    init(peer: String, isSecure: Bool) {
        addresses = [peer]
        self.isSecure = isSecure
    }

    /// What `peer`, which is trusted, says in the fields of a request.
    init(
        peer: String, isSecure: Bool, saying fields: [HeaderField], in bytes: UnsafeRawBufferPointer,
        trusted: [AddressRange]
    ) {
        self.init(peer: peer, isSecure: isSecure)
        var entries: [String] = []
        for field in fields where field.known == .forwarded {
            let name = bytes[field.name]
            if name.equalsIgnoringCase("x-forwarded-for") {
                bytes[field.value].forEachListElement { entries.append($0.text) }
            } else if name.equalsIgnoringCase("x-forwarded-proto") {
                bytes[field.value].forEachListElement { element in
                    if element.equalsIgnoringCase("https") { self.isSecure = true }
                    if element.equalsIgnoringCase("http") { self.isSecure = false }
                }
            }
        }
        follow(entries, trusted)
    }

    private mutating func follow(_ entries: [String], _ trusted: [AddressRange]) {
        for entry in entries.reversed().prefix(ForwardedChain.longest) {
            guard let address = ForwardedChain.address(entry), let bytes = AddressRange.bytes(of: address) else {
                return
            }
            addresses.insert(address, at: 0)
            guard trusted.contains(where: { $0.contains(bytes) }) else { return }
        }
    }

    /// An entry without its brackets and its port.
    private static func address(_ entry: String) -> String? {
        if entry.hasPrefix("["), let end = entry.firstIndex(of: "]") {
            return String(entry[entry.index(after: entry.startIndex)..<end])
        }
        let colons = entry.utf8.count { $0 == UInt8(ascii: ":") }
        return colons == 1 ? entry.split(separator: ":").first.map(String.init) : entry
    }

    /// The client's address.
    var client: String { addresses.first ?? "unknown" }

    /// `x-forwarded-for` and `x-forwarded-proto`, as lines.
    var fields: [UInt8] {
        Array(
            "x-forwarded-for: \(addresses.joined(separator: ", "))\r\nx-forwarded-proto: \(isSecure ? "https" : "http")\r\n"
                .utf8)
    }

    /// The elements of `Forwarded`, of which the first lacks its host (RFC 7239 4 and 6).
    var elements: [UInt8] {
        let nodes = addresses.map { $0.contains(":") ? "for=\"[\($0)]\"" : "for=\($0)" }
        let first = "\(nodes.first ?? "for=unknown");proto=\(isSecure ? "https" : "http")"
        return Array(([first] + nodes.dropFirst()).joined(separator: ", ").utf8)
    }
}
