/// Writes one JSON object on one line, member by member: log lines, which must be cheap and must not break.
struct JSONLine {
    private(set) var bytes: [UInt8] = [123]

    mutating func member(_ name: String, _ value: String) {
        begin(name)
        JSONLine.append(value, to: &bytes)
    }

    mutating func member(_ name: String, _ value: String?) {
        if let value { member(name, value) }
    }

    mutating func member(_ name: String, number: some CustomStringConvertible) {
        begin(name)
        bytes.append(contentsOf: number.description.utf8)
    }

    /// Ends the object and the line.
    mutating func end() -> [UInt8] {
        bytes.append(contentsOf: [125, 10])
        return bytes
    }

    private mutating func begin(_ name: String) {
        if bytes.count > 1 { bytes.append(44) }
        JSONLine.append(name, to: &bytes)
        bytes.append(58)
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(34)
        for byte in text.utf8 {
            switch byte {
            case 34, 92: bytes.append(contentsOf: [92, byte])
            case 10: bytes.append(contentsOf: [92, 110])
            case 0..<32, 127:
                bytes.append(contentsOf: [92, 117, 48, 48])
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 48 + digit : 87 + digit) }
            default: bytes.append(byte)
            }
        }
        bytes.append(34)
    }
}
