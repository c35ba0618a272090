/// The fields in which servers that are no nodes of this platform are told who calls.
///
/// Whatever clients send under these names is dropped, whether a principal is known or not: a server may trust what it finds there.
public struct PrincipalHeaders: Sendable, Hashable {
    /// The field with the principal's name; nil for none.
    public var subject: String?
    /// The field with the authenticator that knows it; nil for none.
    public var authenticator: String?
    /// The field with its scopes, a space between two; nil for none.
    public var scopes: String?
    /// Fields with what claims say, by the names of the claims; of several values with a comma between two.
    public var claims: [String: String]

    /// Fields; none unless given.
    public init(
        subject: String? = nil, authenticator: String? = nil, scopes: String? = nil, claims: [String: String] = [:]
    ) {
        self.subject = subject
        self.authenticator = authenticator
        self.scopes = scopes
        self.claims = claims
    }

    var names: [String] { [subject, authenticator, scopes].compactMap { $0 } + claims.values.sorted() }

    /// What is wrong with them, in words; nil if nothing is.
    var flaw: String? {
        if names.isEmpty { return "tells of the principal in no header" }
        if Set(names.map { $0.lowercased() }).count < names.count {
            return "tells two things of the principal in one header"
        }
        return HeaderEdits(remove: Set(names)).flaw.map { "tells of the principal: \($0)" }
            ?? names.first { $0.lowercased() == "authorization" }.map {
                "tells of the principal in the header '\($0)', which is the client's"
            }
    }
}

/// The fields as they are written for a request.
final class CompiledPrincipalHeaders {
    private let settings: PrincipalHeaders
    private let names: [[UInt8]]

    init(_ settings: PrincipalHeaders) {
        self.settings = settings
        names = settings.names.map { $0.utf8.map(withDash) }
    }

    /// Whether a field of the client's goes.
    func drops(_ name: UnsafeRawBufferPointer) -> Bool { names.contains { name.isAlike($0) } }

    /// The fields of a principal, as lines.
    func lines(of principal: VerifiedPrincipal) -> [UInt8] {
        var lines: [UInt8] = []
        func add(_ name: String?, _ value: String?) {
            guard let name, let value else { return }
            lines += Array("\(name): ".utf8) + CompiledPrincipalHeaders.escaped(value) + [0x0D, 0x0A]
        }
        add(settings.subject, principal.principal.subject)
        add(settings.authenticator, principal.principal.issuer)
        add(settings.scopes, principal.principal.scopes.sorted().joined(separator: " "))
        for (claim, name) in settings.claims.sorted(by: { $0.key < $1.key }) {
            add(name, principal.claims[claim]?.sorted().joined(separator: ","))
        }
        return lines
    }

    /// A value as a field may have it: what is no visible ASCII but a space, and the percent sign, escaped as in a URL (RFC 3986 2.1).
    private static func escaped(_ value: String) -> [UInt8] {
        value.utf8.flatMap { byte -> [UInt8] in
            guard byte < 0x20 || byte > 0x7E || byte == 0x25 else { return [byte] }
            let digits = Array("0123456789ABCDEF".utf8)
            return [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
}
