import DovetailCore

extension EventLog {
    /// Deletes a stream: from now on an append to it is refused with `streamDeleted`, also one that expects nothing. Its events stay and can be read.
    ///
    /// Durable when it returns. Deleting it again changes nothing; so does deleting what was never there, whose name is not taken any more. Throws
    /// `versionConflict` if the stream is elsewhere than `expected`.
    @discardableResult
    public func delete(_ stream: String, expected: ExpectedVersion = .any) async throws -> Appended {
        try await append([Append(stream: stream, expected: expected, events: [], change: .delete)])
    }

    /// Takes a deletion back: the stream goes on at the version it had. Durable when it returns. Throws `streamTombstoned` if it was deleted for good.
    @discardableResult
    public func restore(_ stream: String) async throws -> Appended {
        try await append([Append(stream: stream, events: [], change: .restore)])
    }

    /// Removes a stream's events up to and including `version`, for good; versions go on where they were. Returns where the stream stands then.
    ///
    /// Nothing is removed that a durable subscription, or one of `holds`, has not done with: `notReached` says who. Steps of at most
    /// ``StreamTruncation/step`` events commit one by one, so a failure or a cancellation leaves a stream that is truncated to some version before. A read model that is rebuilt
    /// later does not see what is gone. Throws `statement` for a stream that is not there, or a version beyond its own.
    @discardableResult
    public func truncate(
        _ stream: String, through version: Int64, holds: [RetentionHold] = []
    ) async throws -> StreamStatus {
        guard let status = try await streamStatus(stream), status.version >= version else {
            throw LogError(
                .statement, stream,
                "it cannot be truncated up to version \(version): it has no such version; look at it first"
            )
        }
        var floor = status.truncated
        while floor < version {
            try Task.checkCancellation()
            let next = min(version, floor + StreamTruncation.step)
            let events = try await self.stream(stream, after: next - 1, limit: 1)
            guard let last = events.first, last.stream?.version == next else { break }
            let truncation = StreamTruncation(stream: stream, after: floor, through: next, last: last.position.number)
            let all = try await holds + DeliveryStore.holds(self)
            if let hold = all.filter({ $0.done < truncation.last }).min(by: { $0.done < $1.done }) {
                throw LogError(
                    .notReached, stream,
                    "\(hold.name) is at \(hold.done) and has not done with the event at \(truncation.last), which was to be truncated; try again when it has"
                )
            }
            try await truncate(truncation, unless: DeliveryStore.held)
            floor = next
        }
        guard let reached = try await streamStatus(stream) else { return status }
        return reached
    }
}

/// One step of a truncation: which events of a stream go.
public struct StreamTruncation: Sendable, Hashable {
    /// How many events go in one commit at most.
    public static let step: Int64 = 500

    /// The stream.
    public let stream: String
    /// What was truncated already.
    public let after: Int64
    /// The last version that goes.
    public let through: Int64
    /// That event's number in the log.
    public let last: Int64
}
