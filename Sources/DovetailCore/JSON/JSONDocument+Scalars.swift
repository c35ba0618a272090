import Foundation

/// Scalars as Swift values.
extension JSONDocument {
    @inline(__always)
    func isNull(at index: Int) -> Bool { tokens[index].kind == .null }

    func bool(at index: Int) throws -> Bool {
        switch tokens[index].kind {
        case .yes: return true
        case .no: return false
        case .field:
            let text = text(at: index)
            if text == "true" { return true }
            if text == "false" { return false }
        default: break
        }
        throw misfit(Bool.self, at: index)
    }

    func string(at index: Int) throws -> String {
        guard tokens[index].kind == .string || tokens[index].kind == .field else {
            throw misfit(String.self, at: index)
        }
        return text(at: index)
    }

    @inline(__always)
    func integer<I: FixedWidthInteger>(_ type: I.Type, at index: Int) throws -> I {
        guard isNumber(at: index), let value = withText(of: index, { JSONNumber.integer(type, $0) }) else {
            throw misfit(type, at: index)
        }
        return value
    }

    func double(at index: Int) throws -> Double {
        guard isNumber(at: index), let value = withText(of: index, { JSONNumber.double($0) }) else {
            throw misfit(Double.self, at: index)
        }
        return value
    }

    func float(at index: Int) throws -> Float {
        guard isNumber(at: index), let value = withText(of: index, { JSONNumber.float($0) }) else {
            throw misfit(Float.self, at: index)
        }
        return value
    }

    @inline(__always)
    private func isNumber(at index: Int) -> Bool {
        switch tokens[index].kind {
        case .number: true
        case .field:
            withText(of: index) { text in
                guard let base = text.baseAddress else { return false }
                return JSONText.number(in: base, from: 0, to: text.count)?.end == text.count
            }
        default: false
        }
    }

    func date(at index: Int) throws -> Date {
        guard let date = withString(at: index, Timestamp.date) else { throw misfit(Date.self, at: index) }
        return date
    }

    func uuid(at index: Int) throws -> UUID {
        guard let id = withString(at: index, { UniqueID(utf8: $0) }) else { throw misfit(UUID.self, at: index) }
        return id.uuid
    }

    func uniqueID(at index: Int) throws -> UniqueID {
        guard let id = withString(at: index, { UniqueID(utf8: $0) }) else { throw misfit(UniqueID.self, at: index) }
        return id
    }

    func data(at index: Int) throws -> Data {
        guard tokens[index].kind == .string || tokens[index].kind == .field,
            let data = Data(base64Encoded: text(at: index))
        else { throw misfit(Data.self, at: index) }
        return data
    }

    func url(at index: Int) throws -> URL {
        guard let url = URL(string: try string(at: index)) else { throw misfit(URL.self, at: index) }
        return url
    }

    func decimal(at index: Int) throws -> Decimal {
        guard isNumber(at: index), let value = Decimal(string: text(at: index), locale: nil), value.isFinite else {
            throw misfit(Decimal.self, at: index)
        }
        return value
    }

    /// Runs `read` on the content of a string; nil if the value is none.
    private func withString<R>(at index: Int, _ read: (UnsafeBufferPointer<UInt8>) -> R?) -> R? {
        guard tokens[index].kind == .string || tokens[index].kind == .field else { return nil }
        return withText(of: index) { text in
            guard tokens[index].flags.contains(.escaped) else { return read(text) }
            return JSONText.unescaped(text).withUnsafeBufferPointer(read)
        }
    }
}
