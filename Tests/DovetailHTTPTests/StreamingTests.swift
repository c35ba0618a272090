import DovetailCore
import HTTPTypes
import Synchronization
import Testing

@testable import DovetailHTTP

@Suite struct StreamingTests {
    @Test func chunksArriveWhileTheProviderIsStillWorking() async throws {
        let (chunks, provider) = AsyncThrowingStream.makeStream(of: [UInt8].self)
        provider.yield([1])
        try await withExchange(Answering.streaming(chunks)) {
            let answer = try await $0.send(.get("/"), deadline: .now + .seconds(10))
            var received = try #require(answer.chunks).makeAsyncIterator()
            // Each chunk is produced only once the one before has arrived.
            for value: UInt8 in 1...5 {
                let chunk = try await received.next()
                #expect(chunk == [value])
                provider.yield([value + 1])
            }
            provider.finish()
            #expect(try await received.next() == [6])
            #expect(try await received.next() == nil)
        }
    }

    @Test func aProviderFailingMidwayLosesTheAnswer() async throws {
        let (chunks, provider) = AsyncThrowingStream.makeStream(of: [UInt8].self)
        provider.yield([1])
        try await withExchange(Answering.streaming(chunks)) {
            let answer = try await $0.send(.get("/"), deadline: nil)
            var received = try #require(answer.chunks).makeAsyncIterator()
            #expect(try await received.next() == [1])
            provider.finish(throwing: Problem("broken", status: 500))
            let error = try await callError { while try await received.next() != nil {} }
            #expect(error.code == .answerLost)
            #expect(error.wasSent)
            #expect(error.failureKind == .inDoubt)
        }
    }

    @Test func theProviderIsCancelledWhenTheClientIsGone() async throws {
        let cancelled = Outcome<Bool>()
        let (chunks, provider) = AsyncThrowingStream.makeStream(of: [UInt8].self)
        provider.onTermination = { reason in
            if case .cancelled = reason { cancelled.succeed(true) } else { cancelled.succeed(false) }
        }
        provider.yield([1])
        try await withExchange(Answering.streaming(chunks)) { transport in
            do {
                let answer = try await transport.send(.get("/"), deadline: nil)
                for try await chunk in try #require(answer.chunks) {
                    #expect(chunk == [1])
                    break
                }
            }
            // The provider is quiet: no write tells the server that the client has gone.
            #expect(try await cancelled.value)
        }
    }

    @Test func theProviderWaitsForASlowReader() async throws {
        let endless = Endless(chunk: [UInt8](repeating: 1, count: 64 << 10))
        try await withExchange(Answering.streaming(endless)) { transport in
            let answer = try await transport.send(.get("/"), deadline: nil)
            var received = try #require(answer.chunks).makeAsyncIterator()
            _ = try await received.next()
            // Once nothing more is produced, what was is in the buffers of the two ends and of the sockets.
            var last = -1
            while endless.produced != last {
                last = endless.produced
                try await Task.sleep(for: .milliseconds(200))
            }
            #expect(last * endless.chunk.count < 64 << 20)
        }
    }

    @Test func aConnectionServesManyStreams() async throws {
        try await withServer(Answering.streaming(Chunks([[1], [2], [3]]))) { address, _ in
            try await withTransport(to: address, configuration: .init(maximumConnections: 1)) { transport in
                for _ in 0..<20 {
                    let whole = try await transport.send(.get("/"), deadline: nil).whole
                    #expect(whole == [1, 2, 3])
                }
            }
        }
    }
}

/// Chunks without end, counted.
private final class Endless: AsyncSequence, Sendable {
    typealias Failure = any Error
    let chunk: [UInt8]
    private let count = Mutex(0)
    var produced: Int { count.withLock { $0 } }

    init(chunk: [UInt8]) { self.chunk = chunk }

    func makeAsyncIterator() -> Iterator { Iterator(of: self) }

    struct Iterator: AsyncIteratorProtocol {
        let of: Endless
        mutating func next() async throws -> [UInt8]? {
            try Task.checkCancellation()
            of.count.withLock { $0 += 1 }
            return of.chunk
        }
    }
}
