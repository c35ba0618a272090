/// JSON text in the making: one growing buffer, and a frame for each value that is being encoded.
///
/// Encoders and containers are handles on it. What they write goes straight to the buffer; only a nested container or
/// super encoder, which may be filled in any order, gets a writer of its own that is joined in at the end.
final class JSONWriter {
    /// A value that is being encoded.
    struct Frame {
        enum Kind { case empty, scalar, object, array }
        var kind = Kind.empty
        /// The members or elements so far.
        var count = 0
        /// Where the last of them starts, its comma included.
        var start = 0
    }

    private(set) var bytes: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    private var capacity: Int
    private(set) var frames: UnsafeMutablePointer<Frame>
    private var frameCapacity = 16
    private(set) var depth = 0
    /// The objects and arrays that are open.
    private var containers = 0
    /// Writers whose text belongs at an offset of this one's.
    private var insertions: [(offset: Int, writer: JSONWriter)] = []
    /// What went wrong where nothing could be thrown.
    private var failure: (any Error)?
    let prefix: [any CodingKey]
    /// The objects and arrays around this writer's text.
    private let level: Int
    let personalForm: PersonalForm

    init(capacity: Int = 512, prefix: [any CodingKey] = [], level: Int = 0, personalForm: PersonalForm) {
        self.personalForm = personalForm
        self.capacity = capacity
        self.prefix = prefix
        self.level = level
        bytes = .allocate(capacity: capacity)
        frames = .allocate(capacity: frameCapacity)
        frames.initialize(to: Frame())
    }

    deinit {
        bytes.deallocate()
        frames.deallocate()
    }

    /// The whole text.
    func finish() throws -> [UInt8] {
        close()
        if let failure { throw failure }
        guard !insertions.isEmpty else { return [UInt8](UnsafeBufferPointer(start: bytes, count: count)) }
        var text: [UInt8] = []
        var written = 0
        for (offset, writer) in insertions {
            text += UnsafeBufferPointer(start: bytes + written, count: offset - written)
            text += try writer.finish()
            written = offset
        }
        return text + UnsafeBufferPointer(start: bytes + written, count: count - written)
    }

    // MARK: Values

    /// Encodes a member's value or an element, whose place was begun.
    func encode<T: Encodable>(_ value: T) throws {
        if try writeNative(value) { return }
        try withFrame { try value.encode(to: JSONEncoding(writer: self, depth: $0)) }
    }

    /// Runs `write` in a frame for the value of the present place.
    @inline(__always)
    func withFrame(_ write: (Int) throws -> Void) throws {
        let outer = depth
        let containers = containers
        guard outer <= JSONText.maximumDepth else { throw tooDeep() }
        depth = outer + 1
        if depth == frameCapacity { growFrames() }
        (frames + depth).initialize(to: Frame())
        do {
            try write(outer + 1)
        } catch {
            depth = outer
            self.containers = containers
            undo()
            throw error
        }
        close()
        depth = outer
    }

    /// Encodes a type that JSON writes in a form of its own as the value of the frame at `depth`; false if it is none.
    func encodeNative<T: Encodable>(_ value: T, at depth: Int) throws -> Bool {
        guard JSONNative.contains(T.self) else { return false }
        try beginScalar(at: depth)
        return try writeNative(value)
    }

    /// Ends the text of the present frame. A type that encodes nothing is an empty object.
    @inline(__always)
    private func close() {
        switch frames[depth].kind {
        case .object:
            write(byte: UInt8(ascii: "}"))
            containers -= 1
        case .array:
            write(byte: UInt8(ascii: "]"))
            containers -= 1
        case .empty: write("{}")
        case .scalar: break
        }
    }

    // MARK: Places

    func open(_ kind: Frame.Kind, at depth: Int) {
        if frames[depth].kind == kind, depth <= self.depth { return }
        guard depth == self.depth, frames[depth].kind == .empty else {
            failure = failure ?? outOfTurn()
            return
        }
        frames[depth].kind = kind
        containers += 1
        if level + containers > JSONText.maximumDepth { failure = failure ?? tooDeep() }
        write(byte: kind == .object ? UInt8(ascii: "{") : UInt8(ascii: "["))
    }

    func beginScalar(at depth: Int) throws {
        guard depth == self.depth, frames[depth].kind == .empty else { throw outOfTurn() }
        frames[depth].kind = .scalar
    }

    @inline(__always)
    func beginElement(at depth: Int) throws {
        guard depth == self.depth, frames[depth].kind == .array else { throw outOfTurn() }
        frames[depth].start = count
        if frames[depth].count > 0 { write(byte: UInt8(ascii: ",")) }
        frames[depth].count += 1
    }

    @inline(__always)
    func beginMember(_ name: String, at depth: Int) throws {
        guard depth == self.depth, frames[depth].kind == .object else { throw outOfTurn() }
        frames[depth].start = count
        if frames[depth].count > 0 { write(byte: UInt8(ascii: ",")) }
        frames[depth].count += 1
        write(string: name)
        write(byte: UInt8(ascii: ":"))
    }

    func insertedMember(_ name: String, at depth: Int) -> JSONWriter { inserted { try beginMember(name, at: depth) } }
    func insertedElement(at depth: Int) -> JSONWriter { inserted { try beginElement(at: depth) } }
    func count(at depth: Int) -> Int { frames[depth].count }

    private func inserted(_ begin: () throws -> Void) -> JSONWriter {
        do { try begin() } catch { failure = failure ?? error }
        let writer = JSONWriter(
            capacity: 64, prefix: path(to: depth + 1), level: level + containers, personalForm: personalForm)
        // Beyond the limit it is written and forgotten, for encoders cannot throw here.
        if level + containers <= JSONText.maximumDepth {
            insertions.append((count, writer))
        } else {
            failure = tooDeep()
        }
        return writer
    }

    /// Takes back the last member or element, so that who catches its error may go on.
    func undo() {
        switch frames[depth].kind {
        case .object, .array:
            count = frames[depth].start
            frames[depth].count -= 1
            while let last = insertions.last, last.offset > count { insertions.removeLast() }
        case .empty, .scalar:
            frames[depth].kind = .empty
        }
    }

    // MARK: The buffer

    /// Makes room for `more` bytes and returns where they go; ``advance(by:)`` counts them.
    @inline(__always)
    func room(for more: Int) -> UnsafeMutablePointer<UInt8> {
        if capacity - count < more { grow(by: more) }
        return bytes + count
    }

    @inline(__always)
    func advance(by written: Int) { count += written }

    @inline(__always)
    func write(byte: UInt8) {
        room(for: 1).initialize(to: byte)
        count += 1
    }

    @inline(__always)
    func write(_ literal: StaticString) {
        let length = literal.utf8CodeUnitCount
        room(for: length).initialize(from: literal.utf8Start, count: length)
        count += length
    }

    @inline(never)
    private func grow(by more: Int) {
        capacity = max(capacity * 2, count + more)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        larger.moveInitialize(from: bytes, count: count)
        bytes.deallocate()
        bytes = larger
    }

    private func growFrames() {
        let larger = UnsafeMutablePointer<Frame>.allocate(capacity: frameCapacity * 2)
        larger.moveInitialize(from: frames, count: depth)
        frames.deallocate()
        frames = larger
        frameCapacity *= 2
    }
}
