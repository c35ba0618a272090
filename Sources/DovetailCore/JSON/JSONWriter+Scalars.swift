import Foundation

/// Scalars as JSON text.
extension JSONWriter {
    @inline(__always)
    func write(string: String) {
        var string = string
        string.withUTF8 { quote($0) }
    }

    /// Writes text in quotes: whole words are copied while nothing in them has to be escaped.
    func quote(_ text: UnsafeBufferPointer<UInt8>) {
        var target = room(for: text.count + 2)
        target.pointee = JSONText.quote
        target += 1
        var at = 0
        if let base = text.baseAddress {
            let source = UnsafeRawPointer(base)
            while at + 8 <= text.count {
                let word = source.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                if JSONText.escapes(in: UInt64(littleEndian: word)) != 0 { break }
                UnsafeMutableRawPointer(target + at).storeBytes(of: word, as: UInt64.self)
                at += 8
            }
            while at < text.count, Self.isPlain(base[at]) {
                target[at] = base[at]
                at += 1
            }
        }
        advance(by: at + 1)
        if at < text.count { escape(UnsafeBufferPointer(rebasing: text[at...])) }
        write(byte: JSONText.quote)
    }

    @inline(__always)
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != JSONText.quote && byte != JSONText.backslash
    }

    @inline(never)
    private func escape(_ text: UnsafeBufferPointer<UInt8>) {
        for byte in text {
            switch byte {
            case JSONText.quote: write("\\\"")
            case JSONText.backslash: write("\\\\")
            case 0x08: write("\\b")
            case 0x09: write("\\t")
            case 0x0A: write("\\n")
            case 0x0C: write("\\f")
            case 0x0D: write("\\r")
            case 0..<0x20:
                write("\\u00")
                write(byte: Hexadecimal.digit(byte >> 4))
                write(byte: Hexadecimal.digit(byte & 15))
            default: write(byte: byte)
            }
        }
    }

    @inline(__always)
    func write<I: FixedWidthInteger>(integer value: I) {
        guard let magnitude = UInt64(exactly: value.magnitude) else { return write(ascii: value.description) }
        let target = room(for: 21)
        var digits = 1
        var rest = magnitude
        while rest >= 10 {
            rest /= 10
            digits += 1
        }
        let sign = value < 0 ? 1 : 0
        target.pointee = UInt8(ascii: "-")
        rest = magnitude
        for index in stride(from: sign + digits - 1, through: sign, by: -1) {
            target[index] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        }
        advance(by: sign + digits)
    }

    /// The shortest text that reads back as the same number.
    func write<F: BinaryFloatingPoint & LosslessStringConvertible>(number value: F) throws {
        guard value.isFinite else { throw unwritable("a finite number", found: "\(value)") }
        if value.magnitude < 1e15, let whole = Int64(exactly: value), whole != 0 || value.sign == .plus {
            return write(integer: whole)
        }
        let text = value.description
        write(ascii: text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }

    func write(ascii text: String) {
        var text = text
        text.withUTF8 { text in
            guard let base = text.baseAddress else { return }
            room(for: text.count).initialize(from: base, count: text.count)
            advance(by: text.count)
        }
    }

    /// Writes a value of a type that has a form of its own in JSON; false if it is none.
    func writeNative<T: Encodable>(_ value: T) throws -> Bool {
        switch ObjectIdentifier(T.self) {
        case JSONNative.date: try write(date: unsafeBitCast(value, to: Date.self))
        case JSONNative.uniqueID: write(id: unsafeBitCast(value, to: UniqueID.self))
        case JSONNative.uuid: write(string: unsafeBitCast(value, to: UUID.self).uuidString)
        case JSONNative.value: try write(value: unsafeBitCast(value, to: JSONValue.self))
        case JSONNative.data: write(string: unsafeBitCast(value, to: Data.self).base64EncodedString())
        case JSONNative.bytes: write(string: Data(unsafeBitCast(value, to: [UInt8].self)).base64EncodedString())
        case JSONNative.url: write(string: unsafeBitCast(value, to: URL.self).absoluteString)
        case JSONNative.decimal: try write(decimal: unsafeBitCast(value, to: Decimal.self))
        default: return false
        }
        return true
    }

    private func write(date: Date) throws {
        let target = room(for: 29)
        guard let length = Timestamp.write(date, to: target + 1) else {
            throw unwritable("a date in the years 0 to 9999", found: "\(date.timeIntervalSince1970) seconds from 1970")
        }
        target[0] = JSONText.quote
        target[length + 1] = JSONText.quote
        advance(by: length + 2)
    }

    private func write(id: UniqueID) {
        let target = room(for: 38)
        target[0] = JSONText.quote
        id.write(to: target + 1)
        target[37] = JSONText.quote
        advance(by: 38)
    }

    private func write(decimal: Decimal) throws {
        guard decimal.isFinite else { throw unwritable("a finite number", found: "NaN") }
        write(ascii: decimal.description)
    }
}
