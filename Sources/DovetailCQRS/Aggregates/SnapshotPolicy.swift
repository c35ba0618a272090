import DovetailContracts

/// When a snapshot of an aggregate's instance is taken.
public struct SnapshotPolicy<State: Wire>: Sendable {
    /// Whether it is time, for a state so many events after the last snapshot.
    let isTime: @Sendable (_ state: State, _ events: Int64) -> Bool

    /// Once so many events came after the last one.
    public static func every(_ events: Int64) -> SnapshotPolicy {
        precondition(events > 0, "a snapshot is taken every so many events, at least 1")
        return SnapshotPolicy { _, since in since >= events }
    }

    /// When `isTime` says so of the state and of how many events came after the last one; asked after each command and each load.
    public static func when(
        _ isTime: @escaping @Sendable (_ state: State, _ events: Int64) -> Bool
    ) -> SnapshotPolicy {
        SnapshotPolicy(isTime: isTime)
    }
}
