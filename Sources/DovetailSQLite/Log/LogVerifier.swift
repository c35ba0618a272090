import DovetailCore
import DovetailEvents
import Foundation
import SQLiteBinding
import Synchronization

/// Looks through a log window by window, each on a snapshot of its own, so that it holds no checkpoint back.
///
/// Last come, on one snapshot, what only the whole shows: the file's structure, the streams, the sum of what is there and what was reclaimed.
final class LogVerifier: Sendable {
    private struct State {
        var verification = LogVerification()
        var reached: Int64 = 0
        var lastTime = Date.distantPast
    }

    /// How many numbers are looked at on one snapshot.
    static let window: Int64 = 8192

    private let state = Mutex(State())

    var verification: LogVerification { state.withLock { $0.verification } }

    /// Looks at the next window; the number reached, and whether that was all.
    func step(_ connection: SQLiteConnection, _ log: LogReader) throws -> (number: Int64, isDone: Bool) {
        try state.withLock { state in
            let head = try LogVerifier.number(connection, "SELECT value FROM dovetail_meta WHERE name = 'position'")
            guard state.reached < head else {
                try LogVerifier.checkWhole(connection, head: head, &state.verification)
                return (head, true)
            }
            let end = min(head, state.reached + LogVerifier.window)
            let ranges = try LogVerifier.ranges(connection, after: state.reached, upTo: end)
            var expected = state.reached + 1
            try log.inspect(after: state.reached, upTo: end) { number, event in
                LogVerifier.checkGap(expected, number - 1, ranges, &state.verification)
                expected = number + 1
                state.verification.events += 1
                switch event {
                case .success(let event):
                    if event.time < state.lastTime {
                        state.verification.find(number, "its time is earlier than that of the event before it")
                    }
                    state.lastTime = event.time
                case .failure(let error as LogError): state.verification.find(number, error.message)
                case .failure(let error): state.verification.find(number, "it cannot be read: \(error)")
                }
            }
            LogVerifier.checkGap(expected, end, ranges, &state.verification)
            state.reached = end
            return (end, false)
        }
    }

    /// What is missing has to lie within what was reclaimed.
    private static func checkGap(
        _ first: Int64, _ last: Int64, _ ranges: [ClosedRange<Int64>], _ verification: inout LogVerification
    ) {
        var number = first
        while number <= last {
            if let range = ranges.last(where: { $0.contains(number) }) {
                number = range.upperBound + 1
                continue
            }
            let next = ranges.filter { $0.lowerBound > number }.map(\.lowerBound).min() ?? .max
            let end = min(last, next - 1)
            verification.find(
                number,
                number == end
                    ? "the event is missing, and was not reclaimed"
                    : "the events up to \(end) are missing, and were not reclaimed")
            number = end + 1
        }
    }

    private static func ranges(
        _ connection: SQLiteConnection, after number: Int64, upTo end: Int64
    ) throws -> [ClosedRange<Int64>] {
        let statement = try connection.prepare(
            "SELECT first, last FROM dovetail_reclaimed WHERE last > ? AND first <= ? ORDER BY last")
        statement.bind(1, number)
        statement.bind(2, end)
        defer { statement.reset() }
        var ranges: [ClosedRange<Int64>] = []
        while try statement.step() {
            let (first, last) = (statement.integer(0), statement.integer(1))
            if first <= last { ranges.append(first...last) }
        }
        return ranges
    }

    private static func checkWhole(
        _ connection: SQLiteConnection, head: Int64, _ verification: inout LogVerification
    ) throws {
        verification.head = head
        do {
            if case .text(let words)? = try connection.value("PRAGMA quick_check(1)"), words != "ok" {
                verification.find(nil, "the file's structure is damaged: \(words)")
                return
            }
            try checkSums(connection, head: head, &verification)
        } catch {
            // What is damaged enough cannot even be looked through.
            verification.find(nil, "the file's structure is damaged: \(error)")
        }
    }

    private static func checkSums(
        _ connection: SQLiteConnection, head: Int64, _ verification: inout LogVerification
    ) throws {
        let highest = try number(connection, "SELECT coalesce(max(position), 0) FROM dovetail_log")
        if highest > head { verification.find(highest, "it lies beyond the log's own last number, \(head)") }
        let kept = try number(connection, "SELECT count(*) FROM dovetail_log WHERE position <= \(head)")
        let reclaimed = try number(connection, "SELECT coalesce(sum(count), 0) FROM dovetail_reclaimed")
        verification.reclaimed = reclaimed
        if kept + reclaimed != head {
            verification.find(
                nil,
                "\(kept) events are there and \(reclaimed) were reclaimed, which is not the log's last number, \(head)")
        }
        let streams = try connection.prepare(
            """
            SELECT s.name, s.version, s.floor, count(l.version), coalesce(min(l.version), s.floor + 1), coalesce(max(l.version), s.floor)
            FROM dovetail_streams s LEFT JOIN dovetail_log l ON l.stream = s.id GROUP BY s.id
            HAVING count(l.version) != s.version - s.floor OR coalesce(min(l.version), s.floor + 1) != s.floor + 1
                OR coalesce(max(l.version), s.floor) != s.version LIMIT 100
            """)
        defer { streams.reset() }
        try checkTombstones(connection, &verification)
        while try streams.step() {
            verification.find(
                nil,
                "the stream '\(streams.text(0))' is at version \(streams.integer(1)), and has \(streams.integer(3)) events from \(streams.integer(4)) to \(streams.integer(5))"
            )
        }
    }

    /// Of a stream that was deleted for good nothing is left, or it is on record that something is.
    private static func checkTombstones(
        _ connection: SQLiteConnection, _ verification: inout LogVerification
    ) throws {
        let streams = try connection.prepare(
            """
            SELECT name, version, floor FROM dovetail_streams
            WHERE (tombstoned_at IS NOT NULL AND leaving = 0 AND floor < version)
                OR (tombstoned_at IS NULL AND leaving = 1) LIMIT 100
            """)
        defer { streams.reset() }
        while try streams.step() {
            verification.find(
                nil,
                "the stream '\(streams.text(0))' was deleted for good by half: it is at version \(streams.integer(1)), and truncated through \(streams.integer(2))"
            )
        }
    }

    private static func number(_ connection: SQLiteConnection, _ query: String) throws -> Int64 {
        guard case .integer(let number)? = try connection.value(query) else { return 0 }
        return number
    }
}
