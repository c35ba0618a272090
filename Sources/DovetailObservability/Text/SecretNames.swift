/// Knows by their names which values are not to be written down.
enum SecretNames {
    static let redacted = "(redacted)"

    /// Parts of names. A name without its dashes, underscores and dots that contains one of them is a secret's.
    private static let parts = [
        "authorization", "token", "secret", "password", "passwd", "passphrase", "cookie", "apikey", "credential",
        "privatekey", "signature", "sessionid",
    ]

    static func contains(_ name: String) -> Bool {
        let letters = name.utf8.compactMap { byte -> UInt8? in
            if byte == 45 || byte == 95 || byte == 46 { return nil }
            return (65...90).contains(byte) ? byte + 32 : byte
        }
        let plain = String(decoding: letters, as: UTF8.self)
        return parts.contains { plain.contains($0) }
    }

    /// A query with the values of secrets' names replaced; `code` and `state` are those of OAuth's answers.
    static func redactedQuery(_ query: String) -> String {
        query.split(separator: "&", omittingEmptySubsequences: false).map { pair in
            guard let equals = pair.firstIndex(of: "=") else { return String(pair) }
            let name = pair[..<equals]
            // An encoded name could hide a secret's: it is decoded no further, its value is not shown.
            let isSecret = name.contains("%") || name == "code" || name == "key" || contains(String(name))
            return isSecret ? "\(name)=\(redacted)" : String(pair)
        }.joined(separator: "&")
    }
}
