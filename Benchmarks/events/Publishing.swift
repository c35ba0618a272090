import BenchmarkSupport
import DovetailCore
import DovetailEvents

/// Publishers that keep a number of appends in flight each, of one event each.
struct Publishing: Sendable {
    let log: any EventLog
    let window: Int
    var publishers = 64
    /// The append that publisher `publisher` makes as its `number`th.
    let append: @Sendable (_ publisher: Int, _ number: Int) -> Append

    /// Appends for `seconds`, after a while that is not measured: what comes first of all is slower.
    func measured(for seconds: Double) async throws -> Measurement {
        _ = try await run(until: .now + .seconds(seconds / 4))
        return try await .of {
            let latencies = try await run(until: .now + .seconds(seconds))
            return (latencies.count, latencies)
        }
    }

    /// Appends until `end`, or until each publisher has made `quota`; returns how long each took until it was durable, in microseconds.
    func run(until end: MonotonicTime, quota: Int = .max) async throws -> [Float] {
        try await withThrowingTaskGroup(of: [Float].self) { group in
            for publisher in 0..<publishers {
                group.addTask { try await run(publisher, until: end, quota: quota) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
    }

    private func run(_ publisher: Int, until end: MonotonicTime, quota: Int) async throws -> [Float] {
        var latencies: [Float] = []
        var inFlight: [(start: MonotonicTime, ticket: Ticket<Appended>)] = []
        var sent = 0
        var isOver = false
        while true {
            while !isOver, sent - latencies.count < window {
                let start = MonotonicTime.now
                let ticket = try log.enqueue([append(publisher, sent)])
                if sent < window { inFlight.append((start, ticket)) } else { inFlight[sent % window] = (start, ticket) }
                sent += 1
                isOver = start >= end || sent == quota
            }
            guard latencies.count < sent else { return latencies }
            let (start, ticket) = inFlight[latencies.count % window]
            guard try await !ticket.value.wasDuplicate else { throw UsageError("a new event was a duplicate") }
            latencies.append(Float((MonotonicTime.now - start).wholeNanoseconds) / 1000)
        }
    }
}

extension EventLog {
    /// Fills the log, quickly: 256 events at a time, sixteen times in flight.
    func fill(_ events: Int, _ append: (Int) -> Append) async throws {
        var tickets: [Ticket<Appended>] = []
        for first in stride(from: 0, to: events, by: 256) {
            tickets.append(try enqueue((first..<min(first + 256, events)).map(append)))
            if tickets.count == 16 { _ = try await tickets.removeFirst().value }
        }
        for ticket in tickets { _ = try await ticket.value }
    }
}
