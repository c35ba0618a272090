import DovetailCore

extension EventLog {
    /// Deletes a stream for good: an append to it is refused with `streamTombstoned` from now on, and so is ``restore(_:)``. Its name is not given again. Returns where it stands then.
    ///
    /// Durable when it returns; doing it again changes nothing. Its events and its snapshot go in the rounds of ``Retention``, as far as nobody durable needs them: each round lets go of
    /// what nobody holds any more. With `holds`, who needs events beside the durable subscriptions, what may go is gone when this returns. What went is on record, as of a truncation, and
    /// keys of commands stay known. Throws `versionConflict` if the stream is elsewhere than `expected`.
    @discardableResult
    public func tombstone(
        _ stream: String, expected: ExpectedVersion = .any, holds: [RetentionHold]? = nil
    ) async throws -> StreamStatus {
        _ = try await append([Append(stream: stream, expected: expected, events: [], change: .tombstone)])
        guard let status = try await streamStatus(stream) else {
            throw LogError(.statement, stream, "it is not there; look at the log with `events verify`")
        }
        guard let holds else { return status }
        let done = try await (holds + DeliveryStore.holds(self)).map(\.done).min() ?? .max
        do { try await empty(status, upTo: done, holds: { holds }) } catch let error as LogError
            where error.code == .notReached || error.code == .versionConflict
        {
            // Somebody was set back, or retention was at it: the next round goes on.
        }
        return try await streamStatus(stream) ?? status
    }

    /// Removes what is left of streams that were deleted for good, as far as nobody needs it; returns how many events went.
    func emptyTombstones(holds: @Sendable () async throws -> [RetentionHold]) async throws -> Int {
        var total = 0
        var after = ""
        /// How far everybody has come; asked for when something is to go.
        var done: Int64?
        while true {
            let streams = try await tombstones(after: after, limit: 100)
            for status in streams {
                try Task.checkCancellation()
                if done == nil { done = try await (holds() + DeliveryStore.holds(self)).map(\.done).min() ?? .max }
                do { total += try await empty(status, upTo: done ?? 0, holds: holds) } catch let error as LogError
                    where error.code == .notReached || error.code == .versionConflict
                {
                    // Somebody was set back, or somebody else truncates it: the next round goes on.
                    continue
                }
            }
            guard streams.count == 100, let last = streams.last else { return total }
            after = last.name
        }
    }

    /// Removes a stream's snapshot, and its events as far as everybody has come; returns how many events went.
    @discardableResult
    private func empty(
        _ status: StreamStatus, upTo done: Int64, holds: @Sendable () async throws -> [RetentionHold]
    ) async throws -> Int {
        try await removeSnapshot(of: status.name)
        let count = try await trim(status.name, status, through: status.version, upTo: done, holds: holds)
        // Last, so that who is broken off goes on at the next round.
        if status.truncated + Int64(count) >= status.version { try await emptied(status.name) }
        return count
    }
}
