import AsyncHTTPClient
import DovetailCore
import NIOCore

/// The body of an answer that is coming in: read to its end, or handed on as a stream.
struct AnswerBody: Sendable {
    /// The longest body that is read whole, in bytes.
    static let longestCollected = 1 << 20

    private let source: Handover<HTTPClientResponse.Body.AsyncIterator>
    private let callee: String

    init(_ body: HTTPClientResponse.Body, callee: String) {
        source = Handover(body.makeAsyncIterator())
        self.callee = callee
    }

    /// All of the body if it is short, otherwise a stream of all of it.
    func collect(until deadline: MonotonicTime?) async throws -> RawResponse.Body {
        guard let deadline else { return try await collect() }
        return try await withThrowingTaskGroup(of: RawResponse.Body.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await collect() }
            group.addTask {
                try await SystemClock().sleep(until: deadline)
                throw HTTPClientError.deadlineExceeded
            }
            guard let first = try await group.next() else { throw CancellationError() }
            return first
        }
    }

    private func collect() async throws -> RawResponse.Body {
        guard var chunks = source.take() else { return .bytes([]) }
        var bytes: [UInt8] = []
        while let chunk = try await chunks.next() {
            bytes.append(contentsOf: chunk.readableBytesView)
            guard bytes.count <= Self.longestCollected else {
                return .stream(Chunks(first: bytes, source: Handover(chunks), callee: callee))
            }
        }
        try Task.checkCancellation()
        return .bytes(bytes)
    }

    /// The body as it comes.
    var stream: RawResponse.Body { .stream(Chunks(first: [], source: source, callee: callee)) }

    /// What was read already and then the rest, for the first who asks.
    private struct Chunks: AsyncSequence, Sendable {
        typealias Failure = any Error

        let first: [UInt8]
        let source: Handover<HTTPClientResponse.Body.AsyncIterator>
        let callee: String

        func makeAsyncIterator() -> Iterator {
            Iterator(first: first, source: source.take(), callee: callee)
        }

        struct Iterator: AsyncIteratorProtocol {
            var first: [UInt8]
            var source: HTTPClientResponse.Body.AsyncIterator?
            let callee: String

            mutating func next() async throws -> [UInt8]? {
                if !first.isEmpty {
                    defer { first = [] }
                    return first
                }
                do {
                    return try await source?.next().map { Array($0.readableBytesView) }
                } catch {
                    throw CallError.of(error, callee: callee)
                }
            }
        }
    }
}
