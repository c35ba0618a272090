import Dispatch
import Synchronization

/// Writes access records to standard output or to a file, behind the back of those who serve requests.
///
/// ``write(_:)`` takes a short lock and never waits for the disk: one background writer makes lines of what has gathered and writes them
/// at once. If it falls behind, records are dropped and counted, and requests are not held up. A file is only ever written at its end, so
/// that it can be rotated by copying and truncating.
public final class AccessLog: Sendable {
    /// Where lines go.
    public enum Destination: Sendable, Hashable {
        /// The standard output.
        case standardOutput
        /// A file, made if it is not there; only its owner and group may read it.
        case file(String)
    }

    private struct State {
        var waiting: [AccessRecord] = []
        var isScheduled = false
        var isClosed = false
        var dropped = 0
    }

    private let format: AccessLogFormat
    private let file: LogFile
    private let capacity: Int
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "dovetail.access-log")

    /// A log, ready to be written.
    ///
    /// - Parameters:
    ///   - format: The form of the lines.
    ///   - destination: Where they go. Throws ``LogFileError`` for a file that cannot be opened.
    ///   - capacity: How many records may wait to be written.
    public init(
        format: AccessLogFormat = .json, to destination: Destination = .standardOutput, capacity: Int = 8192
    ) throws(LogFileError) {
        self.format = format
        self.capacity = max(1, capacity)
        switch destination {
        case .standardOutput: file = .standardOutput
        case .file(let path): file = try LogFile(path: path)
        }
    }

    deinit {
        // The queue holds on to the log while it has lines to write: nothing is left here, and nobody writes.
        file.close()
    }

    /// Takes a record to be written soon; returns at once. May be called from an event loop.
    public func write(_ record: AccessRecord) {
        let mustSchedule = state.withLock { state -> Bool in
            guard !state.isClosed, state.waiting.count < capacity else {
                state.dropped += 1
                return false
            }
            state.waiting.append(record)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { queue.async { self.drain() } }
    }

    /// Writes what waits, and takes no more. Blocks until it is written: for the end of the process.
    public func close() {
        state.withLock { $0.isClosed = true }
        queue.sync { drain() }
    }

    /// How many records were not written: the writer was behind, the log closed, or the disk full.
    public var dropped: Int { state.withLock { $0.dropped } }

    private func drain() {
        while true {
            let records = state.withLock { state -> [AccessRecord] in
                let records = state.waiting
                state.waiting = []
                state.isScheduled = !records.isEmpty
                return records
            }
            guard !records.isEmpty else { return }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(records.count * 256)
            for record in records { bytes.append(contentsOf: format.line(record)) }
            if !file.write(bytes) { state.withLock { $0.dropped += records.count } }
        }
    }
}
