import DovetailCore
import DovetailEvents

/// Finds out whether who asks for a resource would wait for one that waits for him, over however many others.
///
/// An instance waits for those before it in the queues that it stands in, and for its children. A queue is joined at its end and a child begins with nothing, so a circle
/// can only be closed by who asks, and is looked for then.
enum SagaLockCircle {
    private struct Wait: Decodable { var resource: String, lockKey: String, token: Int64 }
    private struct Queue: Hashable { var resource: String, key: String }

    /// Whether the instance of this number would wait for itself at the end of the queue for a resource.
    static func closes(_ number: Int64, behind lock: SagaLock, in snapshot: Snapshot) throws -> Bool {
        guard try isWaitedFor(number, in: snapshot) else { return false }
        var reached: Set<Int64> = []
        var open: [Int64] = []
        /// How far each queue was looked at: its members before this token are reached.
        var looked: [Queue: Int64] = [:]
        func reach(_ queue: Queue, before token: Int64) throws {
            let from = looked[queue] ?? 0
            guard from < token else { return }
            looked[queue] = token
            let members = try snapshot.rows(
                Int64.self,
                """
                SELECT number FROM dovetail_saga_locks WHERE resource = \(queue.resource) AND lock_key = \(queue.key)
                    AND token >= \(from) AND token < \(token) AND state <> 'deadlock'
                """)
            open += members.filter { reached.insert($0).inserted }
        }
        try reach(Queue(resource: lock.resource, key: lock.key), before: .max)
        while let next = open.popLast() {
            if next == number { return true }
            let waits = try snapshot.rows(
                Wait.self,
                "SELECT resource, lock_key, token FROM dovetail_saga_locks WHERE number = \(next) AND state = 'waiting'"
            )
            for wait in waits { try reach(Queue(resource: wait.resource, key: wait.lockKey), before: wait.token) }
            open += try children(of: next, in: snapshot).filter { reached.insert($0).inserted }
        }
        return false
    }

    /// Whether anybody waits for an instance: most that ask have nothing yet that others could want.
    private static func isWaitedFor(_ number: Int64, in snapshot: Snapshot) throws -> Bool {
        try snapshot.row(
            Bool.self,
            """
            SELECT EXISTS (SELECT 1 FROM dovetail_saga_instances WHERE number = \(number) AND parent IS NOT NULL)
                OR EXISTS (SELECT 1 FROM dovetail_saga_locks own JOIN dovetail_saga_locks other
                    ON other.resource = own.resource AND other.lock_key = own.lock_key AND other.token > own.token
                    WHERE own.number = \(number) AND own.state <> 'deadlock' AND other.number <> \(number)
                        AND other.state = 'waiting')
            """) ?? false
    }

    /// The children whose end an instance waits for.
    private static func children(of number: Int64, in snapshot: Snapshot) throws -> [Int64] {
        guard let record = try SagaTables.instance(number, in: snapshot) else { return [] }
        return try record.progress.tasks.filter { $0.awaits?.topic == SagaMessage.child }.compactMap { task in
            let child = try SagaTables.instance(SagaRecord.childID(of: record.id, at: task.step), in: snapshot)
            return child.flatMap { $0.status.hasEnded ? nil : $0.number }
        }
    }
}
