import DovetailContracts
import DovetailCore
import DovetailEvents

/// A look at all that is stored, with the eyes of today's program: whether each part can read each event that it would get.
public struct StoredEventCheck: Sendable {
    /// What a part of the program cannot read.
    public struct Finding: Sendable, Hashable, CustomStringConvertible {
        /// The events' topic.
        public var type: String
        /// The version they are stored in.
        public var version: Int
        /// Which part: the contracts, an aggregate, a read model.
        public var part: String
        /// How many there are.
        public var count: Int
        /// The number of the first.
        public var first: Int64
        /// Why the first cannot be read, and what to write.
        public var reason: String

        public var description: String {
            "\(type) v\(version): \(part) cannot read \(count) of them, the first at \(first): \(reason)"
        }
    }

    /// What was found.
    public struct Report: Sendable {
        /// How many events were looked at.
        public var events = 0
        /// The number reached.
        public var head: Int64 = 0
        /// What cannot be read; empty if all is well.
        public var findings: [Finding] = []
        /// How many events there are of topics that no part reads, by topic.
        public var unread: [String: Int] = [:]
    }

    private struct Place: Hashable {
        var type: String
        var version: Int
        var part: Int
    }

    private let parts: [EventReaders]

    package init(_ parts: [EventReaders]) {
        self.parts = parts
    }

    /// Reads the whole log, page by page, beside the work. `progress` is told the number reached. Throws ``LogError``, and `CancellationError` when cancelled.
    public func run(
        on log: any EventLog, progress: @Sendable (Int64) -> Void = { _ in }
    ) async throws -> Report {
        var report = Report()
        var found: [Place: Finding] = [:]
        let end = log.head
        while report.head < end {
            try Task.checkCancellation()
            let page = try await log.events(after: report.head, types: nil, limit: 1000)
            for event in page.events {
                report.events += 1
                var isRead = false
                for (index, part) in parts.enumerated() {
                    do { isRead = try part.read(event) || isRead } catch {
                        isRead = true
                        let place = Place(type: event.type, version: event.version, part: index)
                        found[
                            place,
                            default: Finding(
                                type: event.type, version: event.version, part: part.name, count: 0,
                                first: event.position.number, reason: "\(error)")
                        ].count += 1
                    }
                }
                // What the engine says to itself begins with a sign that no topic of a module has.
                if !isRead, !event.type.hasPrefix("$") { report.unread[event.type, default: 0] += 1 }
            }
            report.head = page.scanned
            progress(report.head)
        }
        report.findings = found.values.sorted {
            ($0.type, $0.version, $0.part) < ($1.type, $1.version, $1.part)
        }
        return report
    }
}
