#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A checked document and the list of its tokens, which `Codable` reads in place.
///
/// Not Sendable, as decoders are not. It owns the bytes, so that a decoder kept beyond the decode is useless but harmless.
final class JSONDocument {
    let bytes: [UInt8]
    let fields: [JSON.Field]
    let personalForm: PersonalForm
    let side: [UInt8]
    let tokens: UnsafeMutablePointer<JSONToken>
    /// The number of tokens; one more, a null, follows the last.
    let count: Int
    /// Where the user's code last refused a value: the innermost such place.
    private(set) var refusal: Int?

    /// Scans `bytes`. Throws ``JSONError`` where they are not JSON.
    init(_ bytes: [UInt8], fields: [JSON.Field] = [], personalForm: PersonalForm = .sealed) throws {
        self.bytes = bytes
        self.personalForm = personalForm
        self.fields = fields
        var list = JSONTokenList(capacity: bytes.count / 6 + 2 * fields.count + 8)
        var side: [UInt8] = []
        do {
            if !bytes.isEmpty || fields.isEmpty { try Self.scan(bytes, into: &list, side: &side) }
            if !fields.isEmpty { try list.overlay(fields, on: bytes, side: &side) }
        } catch {
            list.base.deallocate()
            throw error
        }
        count = list.count
        list.append(
            JSONToken(start: 0, end: 0, next: 0, parent: JSONToken.none, mark: 0, kind: .null, flags: []))
        self.side = side
        tokens = list.base
    }

    deinit { tokens.deallocate() }

    private static func scan(_ bytes: [UInt8], into list: inout JSONTokenList, side: inout [UInt8]) throws {
        guard bytes.count < UInt32.max else {
            throw JSONError(pointer: "", expected: "a document of less than 4 GiB", found: "\(bytes.count) bytes")
        }
        guard !bytes.isEmpty else {
            throw JSONError(pointer: "", expected: "a JSON value", found: "nothing", offset: 0)
        }
        try bytes.withUnsafeBufferPointer { text in
            guard let base = text.baseAddress else { return }
            var scanner = JSONScanner(base, count: text.count, tokens: list)
            defer {
                list = scanner.tokens
                side = scanner.side
            }
            do throws(JSONScanner.Failure) { try scanner.scan() } catch { throw error.located(in: scanner, text) }
        }
    }

    // MARK: Finding

    @inline(__always)
    func withText<R>(of index: Int, _ body: (UnsafeBufferPointer<UInt8>) throws -> R) rethrows -> R {
        let token = tokens[index]
        let range = Int(token.start)..<Int(token.end)
        guard token.flags.contains(.aside) else {
            return try bytes.withUnsafeBufferPointer { try body(UnsafeBufferPointer(rebasing: $0[range])) }
        }
        return try side.withUnsafeBufferPointer { try body(UnsafeBufferPointer(rebasing: $0[range])) }
    }

    /// The value of the member `name` of the object at `object`; nil if it has none.
    ///
    /// Looks first behind the member found last: whoever asks in the document's order finds each at the first glance.
    func member(_ name: String, of object: Int) -> Int? {
        var name = name
        return name.withUTF8 { wanted in
            let first = object + 1
            let end = Int(tokens[object].next)
            let mark = Int(tokens[object].mark)
            return bytes.withUnsafeBufferPointer { bytes in
                side.withUnsafeBufferPointer { side in
                    find(wanted, from: mark, to: end, object, bytes.baseAddress, side.baseAddress)
                        ?? find(wanted, from: first, to: mark, object, bytes.baseAddress, side.baseAddress)
                }
            }
        }
    }

    @inline(__always)
    private func find(
        _ wanted: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int, _ object: Int,
        _ bytes: UnsafePointer<UInt8>?, _ side: UnsafePointer<UInt8>?
    ) -> Int? {
        var index = start
        while index < end {
            let name = tokens[index]
            let next = tokens[index + 1].next
            if name.length == wanted.count, !name.flags.contains(.superseded) {
                let text = name.flags.contains(.aside) ? side : bytes
                if wanted.isEmpty || matches(text, at: name.start, wanted) {
                    tokens[object].mark = next
                    return index + 1
                }
            }
            index = Int(next)
        }
        return nil
    }

    @inline(__always)
    private func matches(
        _ text: UnsafePointer<UInt8>?, at start: UInt32, _ wanted: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard let text, let base = wanted.baseAddress else { return false }
        return memcmp(text + Int(start), base, wanted.count) == 0
    }

    /// The members of the object at `object` that count, in order: each name's index; its value follows it.
    func names(of object: Int) -> [Int] {
        var names: [Int] = []
        var index = object + 1
        while index < Int(tokens[object].next) {
            if !tokens[index].flags.contains(.superseded) { names.append(index) }
            index = Int(tokens[index + 1].next)
        }
        return names
    }

    /// The text of the string or name at `index`, escapes resolved.
    func text(at index: Int) -> String {
        withText(of: index) { text in
            tokens[index].flags.contains(.escaped)
                ? String(decoding: JSONText.unescaped(text), as: UTF8.self) : String(decoding: text, as: UTF8.self)
        }
    }

    /// The bytes of the value at `index`, quotes included.
    func range(of index: Int) -> Range<Int> {
        let token = tokens[index]
        let quotes = token.kind == .string ? 1 : 0
        return Int(token.start) - quotes..<Int(token.end) + quotes
    }

    /// Notes that the value at `index` was refused, unless the refusal came from further inside it.
    func refused(at index: Int) {
        if let refusal, refusal >= index, refusal < Int(tokens[index].next) { return }
        refusal = index
    }
}
