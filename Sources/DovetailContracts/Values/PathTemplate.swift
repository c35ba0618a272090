/// A path with named places: `/users/{id}/orders`.
///
/// Written in code, so a malformed one is a programmer's mistake and stops the program with a sentence.
public struct PathTemplate: Sendable, Hashable, CustomStringConvertible {
    /// One part of the path between slashes.
    public enum Segment: Sendable, Hashable {
        /// These characters.
        case literal(String)
        /// Any one non-empty segment, given to the input's field of this name.
        case parameter(String)
    }

    /// The path's parts.
    public let segments: [Segment]
    /// The path as written.
    public let description: String

    /// A template such as `/orders/{id}`.
    public init(_ text: String) {
        precondition(text.hasPrefix("/"), "the path '\(text)' has to begin with a slash")
        description = text
        segments = text.split(separator: "/", omittingEmptySubsequences: true).map { part in
            guard part.contains("{") || part.contains("}") else { return .literal(String(part)) }
            let name = part.dropFirst().dropLast()
            precondition(
                part.hasPrefix("{") && part.hasSuffix("}") && !name.isEmpty
                    && !name.contains(where: { "{}".contains($0) }),
                "in the path '\(text)' a parameter has to be a whole segment, as in /orders/{id}")
            return .parameter(String(name))
        }
    }

    /// The names of the parameters, in order.
    public var parameters: [String] {
        segments.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
    }

    /// The path with each parameter's place filled; values are percent-encoded. Nil if one is missing or empty.
    public func filled(_ value: (String) -> String?) -> String? {
        var path = ""
        for segment in segments {
            path += "/"
            switch segment {
            case .literal(let text): path += text
            case .parameter(let name):
                guard let text = value(name), !text.isEmpty else { return nil }
                path += text.percentEncoded
            }
        }
        return path.isEmpty ? "/" : path
    }
}

extension String {
    /// The text with all but RFC 3986's unreserved characters percent-encoded.
    package var percentEncoded: String {
        var result = ""
        for byte in utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = Array("0123456789ABCDEF".unicodeScalars)
                result.unicodeScalars.append("%")
                result.unicodeScalars.append(digits[Int(byte >> 4)])
                result.unicodeScalars.append(digits[Int(byte & 15)])
            }
        }
        return result
    }
}

extension StringProtocol {
    /// The text with percent-escapes decoded; nil if one is malformed or the result is not UTF-8.
    package var percentDecoded: String? {
        guard utf8.contains(0x25) else { return String(self) }
        var bytes: [UInt8] = []
        var rest = utf8.makeIterator()
        while let byte = rest.next() {
            guard byte == 0x25 else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next()?.hexDigit, let low = rest.next()?.hexDigit else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension UInt8 {
    fileprivate var hexDigit: UInt8? {
        switch self {
        case 0x30...0x39: self - 0x30
        case 0x41...0x46: self - 0x37
        case 0x61...0x66: self - 0x57
        default: nil
        }
    }
}
