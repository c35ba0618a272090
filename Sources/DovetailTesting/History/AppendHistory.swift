import DovetailCore
import Synchronization

/// What happened to one stream while many appended to it and looked at it: for a check that there is one order in which it could all have happened, each at a moment between its call and
/// its answer. Linearizability, for a version that only rises.
public final class AppendHistory: Sendable {
    /// Something that was asked of the stream, and what came of it.
    public struct Operation: Sendable {
        /// When it was called.
        public var start: MonotonicTime
        /// When it was answered.
        public var end: MonotonicTime
        /// What came of it.
        public var outcome: Outcome

        /// An operation.
        public init(start: MonotonicTime, end: MonotonicTime, outcome: Outcome) {
            self.start = start
            self.end = end
            self.outcome = outcome
        }
    }

    /// What came of an operation.
    public enum Outcome: Sendable {
        /// It has taken the stream from the one version to the other.
        case appended(from: Int64, to: Int64)
        /// It has seen the stream at a version: a read, or a conflict that says so.
        case observed(Int64)
    }

    private let operations = Mutex<[Operation]>([])

    /// Nothing yet.
    public init() {}

    /// Notes an operation.
    public func note(_ operation: Operation) {
        operations.withLock { $0.append(operation) }
    }

    /// Carries out an operation and notes what came of it; nil: nothing that says anything.
    public func record(_ body: () async throws -> Outcome?) async rethrows {
        let start = MonotonicTime.now
        guard let outcome = try await body() else { return }
        note(Operation(start: start, end: .now, outcome: outcome))
    }

    /// Why there is no order in which it could all have happened; empty if there is one.
    ///
    /// Every append has to have had its effect after the one before, and nobody may have seen a version whose time had not come, or was over.
    public var findings: [String] {
        let operations = operations.withLock { $0 }
        var findings: [String] = []
        var appends: [(from: Int64, to: Int64, earliest: MonotonicTime, latest: MonotonicTime)] = []
        var observed: [Int64: (firstEnd: MonotonicTime, lastStart: MonotonicTime)] = [:]
        for operation in operations {
            switch operation.outcome {
            case .appended(let from, let to): appends.append((from, to, operation.start, operation.end))
            case .observed(let version):
                let known = observed[version]
                observed[version] = (
                    min(known?.firstEnd ?? operation.end, operation.end),
                    max(known?.lastStart ?? operation.start, operation.start)
                )
            }
        }
        appends.sort { $0.to < $1.to }
        let reached = Set(appends.map(\.to) + [0])
        for version in observed.keys.sorted() where !reached.contains(version) {
            findings.append("somebody saw version \(version), at which the stream never was")
        }
        var before: Int64 = 0
        // No earlier than those before it, and than whoever saw the version that it has ended.
        var earliest: MonotonicTime?
        for append in appends {
            if append.from != before {
                findings.append(
                    "an append went from version \(append.from) to \(append.to), and the stream was at \(before)")
            }
            let bounds = [append.earliest, earliest, observed[append.from]?.lastStart].compactMap { $0 }
            let lower = bounds.max() ?? append.earliest
            let upper = min(append.latest, observed[append.to]?.firstEnd ?? append.latest)
            if lower > upper {
                findings.append(
                    "there is no moment at which the stream can have come to version \(append.to): somebody was answered too early, or saw too late what was over"
                )
            }
            earliest = max(earliest ?? lower, lower)
            before = append.to
        }
        return findings
    }
}
