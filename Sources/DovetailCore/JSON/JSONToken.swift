/// One value, or one member's name, of a scanned document.
///
/// Tokens lie in document order: a container's children follow it, and in an object each name is followed by its value.
struct JSONToken {
    enum Kind: UInt8 {
        case null, yes, no, number, string, array, object
        /// A member's name.
        case name
        /// One path or query parameter, and several of one name.
        case field, fields
    }

    struct Flags: OptionSet {
        let rawValue: UInt8
        /// The string holds escapes.
        static let escaped = Flags(rawValue: 1)
        /// The number has a fraction or an exponent.
        static let fractional = Flags(rawValue: 2)
        /// The text lies in the document's side buffer: unescaped names, fields.
        static let aside = Flags(rawValue: 4)
        /// A later member of the same name, or a field, takes this one's place.
        static let superseded = Flags(rawValue: 8)
        /// Two of the object's names may be the same.
        static let mayRepeat = Flags(rawValue: 16)
    }

    static let none = UInt32.max

    /// Where the text starts, without its quote.
    var start: UInt32
    /// Where the text ends, without its quote.
    var end: UInt32
    /// The token after this value and all that is in it.
    var next: UInt32
    /// The container this stands in.
    var parent: UInt32
    /// Objects: the name at which to look next, and while scanning a filter of the names seen. Arrays: the number of elements.
    /// Names: a hash. Fields: which one.
    var mark: UInt32
    var kind: Kind
    var flags: Flags

    /// The number of bytes of the text.
    var length: Int { Int(end) - Int(start) }
}

/// A list of tokens in memory of its own.
///
/// Not an array: the marks change while containers are read, and neither uniqueness nor exclusivity is worth checking
/// on each of them. The document that owns the list frees it.
struct JSONTokenList {
    private(set) var base: UnsafeMutablePointer<JSONToken>
    private(set) var count = 0
    private var capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        base = .allocate(capacity: capacity)
    }

    @inline(__always)
    mutating func append(_ token: JSONToken) {
        if count == capacity { grow() }
        (base + count).initialize(to: token)
        count += 1
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<JSONToken>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: base, count: count)
        base.deallocate()
        base = larger
        capacity *= 2
    }
}
