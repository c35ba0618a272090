import DovetailCore

/// One signature as `Signature-Input` and `Signature` tell of it (RFC 9421 4, RFC 8941 3.2).
struct SignatureInput: Equatable {
    /// What it covers, in order: derived components and field names.
    var components: [String]
    /// The value of its `@signature-params`, as it was sent.
    var parameters: String
    var created: Int64?
    var expires: Int64?
    var keyID: String?
    var nonce: String?
    var algorithm: String?
    var signature: [UInt8]

    /// Reads the first signature that both fields name; nil if there is none, or one of them is malformed.
    init?(input: String, signature: String) {
        var reader = StructuredReader(input)
        guard let label = reader.key(), reader.take("=") else { return nil }
        let start = reader.position
        guard reader.take("(") else { return nil }
        components = []
        while true {
            reader.skipSpaces()
            if reader.take(")") { break }
            // Components with parameters are of no use to a gateway that would have to guess at them.
            guard let name = reader.string(), components.count < 64, !components.contains(name),
                reader.peek == UInt8(ascii: " ") || reader.peek == UInt8(ascii: ")")
            else { return nil }
            components.append(name)
        }
        while reader.take(";") {
            reader.skipSpaces()
            guard let name = reader.key(), reader.take("=") else { return nil }
            switch name {
            case "created", "expires":
                guard let value = reader.integer() else { return nil }
                if name == "created" { created = value } else { expires = value }
            case "keyid", "nonce", "alg", "tag":
                guard let value = reader.string() else { return nil }
                switch name {
                case "keyid": keyID = value
                case "nonce": nonce = value
                case "alg": algorithm = value
                default: break
                }
            default: return nil
            }
        }
        parameters = reader.text(from: start)
        // Another signature may follow, by somebody else.
        reader.skipSpaces()
        guard reader.isAtEnd || reader.peek == UInt8(ascii: ",") else { return nil }
        guard let bytes = SignatureInput.bytes(of: label, in: signature) else { return nil }
        self.signature = bytes
    }

    /// A byte sequence of a dictionary: `label=:…:`.
    static func bytes(of label: String, in dictionary: String) -> [UInt8]? {
        var reader = StructuredReader(dictionary)
        while let key = reader.key(), reader.take("="), let value = reader.byteSequence() {
            if key == label { return value }
            reader.skipSpaces()
            guard reader.take(",") else { return nil }
            reader.skipSpaces()
        }
        return nil
    }
}

/// Reads the parts of structured fields that signatures and digests are made of (RFC 8941 4.2).
struct StructuredReader {
    private let bytes: [UInt8]
    private(set) var position = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    var isAtEnd: Bool { position == bytes.count }
    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    func text(from start: Int) -> String { String(decoding: bytes[start..<position], as: UTF8.self) }

    mutating func skipSpaces() {
        while peek == 0x20 || peek == 0x09 { position += 1 }
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let next = peek, UInt32(next) == character.value else { return false }
        position += 1
        return true
    }

    mutating func key() -> String? {
        let start = position
        while let byte = peek,
            (0x61...0x7A).contains(byte) || byte == 0x2A || byte == 0x5F
                || (position > start && ((0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x2E))
        {
            position += 1
        }
        return position > start && position - start <= 64 ? text(from: start) : nil
    }

    mutating func integer() -> Int64? {
        let start = position
        if peek == UInt8(ascii: "-") { position += 1 }
        while let byte = peek, (0x30...0x39).contains(byte) { position += 1 }
        return position - start <= 16 ? Int64(text(from: start)) : nil
    }

    mutating func string() -> String? {
        guard take("\"") else { return nil }
        var value: [UInt8] = []
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: value, as: UTF8.self)
            case UInt8(ascii: "\\"):
                guard let escaped = peek, escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    return nil
                }
                position += 1
                value.append(escaped)
            case 0x20...0x7E: value.append(byte)
            default: return nil
            }
        }
        return nil
    }

    mutating func byteSequence() -> [UInt8]? {
        guard take(":") else { return nil }
        let start = position
        while let byte = peek, byte != UInt8(ascii: ":") { position += 1 }
        guard position - start <= 1024 else { return nil }
        let decoded = bytes[start..<position].withUnsafeBytes { Base64URL.decodeStandard($0[...]) }
        return take(":") ? decoded : nil
    }
}
