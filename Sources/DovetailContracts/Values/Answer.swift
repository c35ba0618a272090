import DovetailCore
import HTTPTypes

/// An answer that comes item by item, in order.
///
/// The provider makes one from an async stream; the consumer iterates. Iteration throws if the provider fails midway or the
/// connection ends early: what was received until then is good, the answer is not whole.
public struct AnswerStream<Item: Wire>: AsyncSequence, Sendable {
    private let base: any AsyncSequence<Item, any Error> & Sendable

    /// An answer of the sequence's items.
    public init(_ base: any AsyncSequence<Item, any Error> & Sendable) {
        self.base = base
    }

    /// An answer of items that are there already.
    public init(_ items: [Item]) {
        base = AsyncThrowingStream { continuation in
            for item in items { continuation.yield(item) }
            continuation.finish()
        }
    }

    /// Iterates over the items as they come.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: any AsyncIteratorProtocol<Item, any Error>

        public mutating func next() async throws -> Item? {
            try await base.next(isolation: #isolation)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: base.makeAsyncIterator())
    }
}

/// How an endpoint's answer becomes bytes and is read back.
public struct AnswerCodec<Output: Sendable>: Sendable {
    /// The media type; nil for an answer without a body.
    public let contentType: String?
    /// The type whose schema describes the body, or each item of it.
    public let schemaType: (any Wire.Type)?
    /// Whether the answer comes item by item.
    public let isStream: Bool
    /// The value as a response body. Throws ``JSONError`` for what JSON cannot say.
    public let encode: @Sendable (Output) throws -> RawResponse.Body
    /// The body of a successful response as a value. Throws ``JSONError`` where it breaks the contract.
    public let decode: @Sendable (RawResponse.Body) async throws -> Output
}

extension AnswerCodec where Output: Wire {
    /// One JSON document.
    public static var json: Self {
        Self(
            contentType: "application/json", schemaType: Output.self, isStream: false,
            encode: { .bytes(try JSON.encode($0, personal: .plain)) },
            decode: { try JSON.decode(Output.self, from: try await $0.collect(), personal: .plain) })
    }
}

extension AnswerCodec where Output == Empty {
    /// No body.
    public static var empty: Self {
        Self(
            contentType: nil, schemaType: nil, isStream: false,
            encode: { _ in .bytes([]) }, decode: { _ in Empty() })
    }
}

extension AnswerCodec {
    /// A JSON document a line.
    public static func stream<Item: Wire>() -> Self where Output == AnswerStream<Item> {
        Self(
            contentType: "application/x-ndjson", schemaType: Item.self, isStream: true,
            encode: { items in .stream(items.map { try JSON.encode($0, personal: .plain) + [0x0A] }) },
            decode: { body in
                AnswerStream(Lines(of: body).map { try JSON.decode(Item.self, from: $0, personal: .plain) })
            })
    }
}

extension RawResponse.Body {
    /// The whole body; a streamed one is read to its end.
    package func collect(upTo limit: Int = 64 << 20) async throws -> [UInt8] {
        switch self {
        case .bytes(let bytes): return bytes
        case .stream(let chunks):
            var all: [UInt8] = []
            for try await chunk in chunks {
                all += chunk
                guard all.count <= limit else {
                    throw JSONError(
                        pointer: "", expected: "a body of at most \(limit) bytes", found: "a longer one")
                }
            }
            return all
        }
    }
}

/// A body cut into its non-empty lines, whatever its chunks are.
private struct Lines: AsyncSequence, Sendable {
    typealias Failure = any Error

    private let body: RawResponse.Body

    init(of body: RawResponse.Body) {
        self.body = body
    }

    func makeAsyncIterator() -> Iterator {
        switch body {
        case .bytes(let bytes): Iterator(pending: bytes)
        case .stream(let chunks): Iterator(chunks: chunks.makeAsyncIterator())
        }
    }

    struct Iterator: AsyncIteratorProtocol {
        var chunks: (any AsyncIteratorProtocol<[UInt8], any Error>)?
        var pending: [UInt8] = []
        var start = 0

        mutating func next() async throws -> [UInt8]? {
            while true {
                if let end = pending[start...].firstIndex(of: 0x0A) {
                    defer { start = end + 1 }
                    if end > start { return Array(pending[start..<end]) }
                    continue
                }
                pending.removeSubrange(..<start)
                start = 0
                guard let chunk = try await chunks?.next(isolation: #isolation) else {
                    defer { pending = [] }
                    return pending.isEmpty ? nil : pending
                }
                pending += chunk
            }
        }
    }
}
