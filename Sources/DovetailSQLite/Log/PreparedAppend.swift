import DovetailCore
import DovetailEvents

/// An append with all that can be worked out before the writer sees it: the writer's thread is the one that everybody waits for.
struct PreparedAppend: Sendable {
    let stream: String?
    let expected: ExpectedVersion
    let events: [PreparedEvent]
    let change: StreamChange?

    init(_ append: Append) {
        stream = append.stream
        expected = append.expected
        events = append.events.map(PreparedEvent.init)
        change = append.change
    }

    /// About how much memory it holds while it waits.
    var bytes: Int { events.reduce(64) { $0 + $1.draft.data.count + $1.attributes.count + 160 } }
}

/// An event with its attributes encoded and its contents summed.
struct PreparedEvent: Sendable {
    let draft: EventDraft
    let attributes: [UInt8]
    let checksum: ContentsChecksum

    init(_ draft: EventDraft) {
        self.draft = draft
        attributes = AttributesCoding.encode(draft.attributes)
        checksum = ContentsChecksum(
            id: draft.id, type: draft.kind, key: draft.key, attributes: attributes, data: draft.data)
    }
}

/// What the log keeps once for all events that share it.
struct EventKind: Hashable, Sendable {
    let name: String
    let version: Int
    let source: String
}

extension EventDraft {
    var kind: EventKind { EventKind(name: type, version: version, source: source) }
}

/// The checksum of a row: of its contents first, then of the place that the writer gives it.
struct ContentsChecksum: Sendable {
    private var crc = CRC32C()

    init(id: UniqueID, type: EventKind, key: String, attributes: [UInt8], data: [UInt8]) {
        crc.add(id.high)
        crc.add(id.low)
        crc.add(type.name)
        crc.add(UInt64(bitPattern: Int64(type.version)))
        crc.add(type.source)
        crc.add(key)
        crc.add(UInt64(attributes.count))
        crc.add(attributes)
        crc.add(data)
    }

    func placed(position: Int64, committedAt: Int64, stream: (id: Int64, version: Int64)?) -> Int64 {
        var crc = crc
        crc.add(UInt64(bitPattern: position))
        crc.add(UInt64(bitPattern: committedAt))
        crc.add(UInt64(bitPattern: stream?.id ?? 0))
        crc.add(UInt64(bitPattern: stream?.version ?? 0))
        return Int64(crc.value)
    }
}

extension UniqueID {
    /// The id's sixteen bytes, big-endian, so that they sort as the id does.
    var bytes: [UInt8] {
        withUnsafeBytes(of: (high.bigEndian, low.bigEndian)) { [UInt8]($0) }
    }

    init(bytes: UnsafeRawBufferPointer) {
        guard bytes.count == 16 else {
            self.init(high: 0, low: 0)
            return
        }
        self.init(
            high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }
}
