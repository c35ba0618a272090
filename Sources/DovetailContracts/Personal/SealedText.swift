import DovetailCore
import Foundation

/// A personal value as it is kept: whose it is, under which key, and what only that key reads.
///
/// As text `dvp1.<subject>.<key>.<bytes>`, where subject and bytes are base64url. What stands before the bytes is sealed with them, so none of it can be changed.
public struct SealedText: Sendable, Hashable {
    /// The whole text.
    public let text: String
    /// Whose it is.
    public let subject: String
    /// The key that reads it.
    public let key: UniqueID
    /// Nonce, cipher text and tag.
    public let bytes: [UInt8]

    static let prefix = "dvp1."

    /// A sealed value; `seal` makes the bytes of what they have to be authenticated with.
    public init(of subject: String, key: UniqueID, seal: (_ header: [UInt8]) throws -> [UInt8]) rethrows {
        let header = "\(Self.prefix)\(Base64URL.encode(Array(subject.utf8))).\(key)"
        bytes = try seal(Array(header.utf8))
        text = "\(header).\(Base64URL.encode(bytes))"
        self.subject = subject
        self.key = key
    }

    /// Reads a text; nil if it is no sealed value.
    public init?(_ text: String) {
        guard text.hasPrefix(Self.prefix) else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4, let subject = Base64URL.decode(Array(parts[1])[...]),
            let key = UniqueID(String(decoding: parts[2], as: UTF8.self)),
            let bytes = Base64URL.decode(Array(parts[3])[...]), let name = String(validating: subject, as: UTF8.self),
            Self.allows(subject: name)
        else { return nil }
        self.text = text
        self.subject = name
        self.key = key
        self.bytes = bytes
    }

    /// What the bytes are authenticated with.
    public var header: [UInt8] {
        Array(text.utf8.prefix(upTo: text.utf8.lastIndex(of: UInt8(ascii: ".")) ?? text.utf8.endIndex))
    }

    static func allows(subject: String) -> Bool { (1...200).contains(subject.utf8.count) }
}

/// Sealed values inside of JSON whose type nobody knows.
extension SealedText {
    /// The sealed values in a JSON document, each with the range of its text, quotes included.
    package static func found(in json: [UInt8]) -> [(range: Range<Int>, sealed: SealedText)] {
        let mark = Array(prefix.utf8)
        var found: [(Range<Int>, SealedText)] = []
        json.withUnsafeBytes { all in
            guard let base = all.baseAddress else { return }
            var from = 0
            while from < all.count, let quote = memchr(base + from, 0x22, all.count - from) {
                let start = UnsafeRawPointer(quote) - base
                from = start + 1
                guard all.count - from > mark.count, memcmp(base + from, mark, mark.count) == 0 else { continue }
                // Behind a backslash the quote is within a text.
                if start > 0, all[start - 1] == UInt8(ascii: "\\") { continue }
                guard let end = all[from...].firstIndex(where: { !isTextByte($0) }), all[end] == UInt8(ascii: "\""),
                    let sealed = SealedText(String(decoding: all[(start + 1)..<end], as: UTF8.self))
                else { continue }
                from = end + 1
                // What names a field is none of its values, whatever it looks like.
                let next = all[from...].first { !isSpace($0) }
                if next != UInt8(ascii: ":") { found.append((start..<from, sealed)) }
            }
        }
        return found
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x20, 0x09, 0x0A, 0x0D: true
        default: false
        }
    }

    private static func isTextByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    /// A JSON document as those outside get it: with null in the place of each personal value.
    package static func withheld(from json: [UInt8]) -> [UInt8] {
        let found = found(in: json)
        guard !found.isEmpty else { return json }
        var told: [UInt8] = []
        var copied = 0
        for (range, _) in found {
            told += json[copied..<range.lowerBound]
            told += "null".utf8
            copied = range.upperBound
        }
        return told + json[copied...]
    }
}
