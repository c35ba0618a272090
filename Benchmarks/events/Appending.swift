import BenchmarkSupport
import DovetailCore
import DovetailEvents
import Synchronization

/// Appends with expected versions, as aggregates make them: 64 appenders, eight in flight each.
enum Appending {
    /// Each append begins a stream; names are in the order of time.
    static func newStreams(_ log: any EventLog, _ drafts: Drafts) -> Publishing {
        Publishing(log: log, window: 8) { _, number in
            Append(stream: "order-\(UniqueID.v7())", expected: .exactly(0), events: [drafts.next(number)])
        }
    }

    /// Each append is to one of many old streams, drawn at random: as many pages are touched as there are events.
    static func random(_ log: any EventLog, _ drafts: Drafts, streams: Int) async throws -> Publishing {
        // Ids derived from numbers: their order says nothing of when they were made.
        let names = (0..<streams).map { "order-\(UniqueID.derived(from: "bench", String($0)))" }
        try await log.fill(streams) { Append(stream: names[$0], expected: .exactly(0), events: [drafts.next($0)]) }
        let publishers = 64
        let share = streams / publishers
        guard share > 0 else { throw UsageError("append-random needs at least \(publishers) streams") }
        let shares = (0..<publishers).map { _ in StreamVersions(share) }
        return Publishing(log: log, window: 8, publishers: publishers) { publisher, number in
            let (index, version) = shares[publisher].next()
            return Append(
                stream: names[publisher * share + index], expected: .exactly(version), events: [drafts.next(number)])
        }
    }
}

/// The streams that one appender alone appends to, and where each stands.
private final class StreamVersions: Sendable {
    private let versions: Mutex<[Int64]>

    init(_ count: Int) {
        versions = Mutex(Array(repeating: 1, count: count))
    }

    /// A stream and the version it has; one more from now on.
    func next() -> (stream: Int, version: Int64) {
        versions.withLock { versions in
            let stream = Int.random(in: 0..<versions.count)
            defer { versions[stream] += 1 }
            return (stream, versions[stream])
        }
    }
}
