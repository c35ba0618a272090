import DovetailCore
import DovetailEvents
import Foundation

/// The queues for resources, in the tables of sagas: each change is part of the transition that it belongs to.
///
/// The first in a queue holds the resource, and whoever it is holds it as often as it has asked for it. Who asks while he would have to wait for one that waits for him is refused
/// at once, see ``SagaLockCircle``.
enum SagaLockTable {
    /// Asks for a resource; returns the fencing token, and whether there is an answer already: it is held, or never will be.
    static func ask(
        _ lock: SagaLock, for number: Int64, at now: Date, in transaction: Transaction
    ) throws -> (token: Int64, isAnswered: Bool) {
        try transaction.execute("UPDATE dovetail_saga_tokens SET token = token + 1 WHERE name = 'lock'")
        let token = try transaction.row(Int64.self, "SELECT token FROM dovetail_saga_tokens WHERE name = 'lock'") ?? 0
        let state = try place(of: number, behind: lock, in: transaction)
        try transaction.execute(
            """
            INSERT INTO dovetail_saga_locks (resource, lock_key, token, number, step, state, since)
            VALUES (\(lock.resource), \(lock.key), \(token), \(number), \(lock.step), \(state.rawValue), \(now))
            """)
        return (token, state != .waiting)
    }

    /// How who asks now comes to stand in the queue for a resource.
    private static func place(
        of number: Int64, behind lock: SagaLock, in snapshot: Snapshot
    ) throws -> SagaLockLine.State {
        guard let first = try first(lock, in: snapshot), first != number else { return .held }
        // Another branch that asks waits as long as the one which has asked before.
        if let state = try snapshot.row(
            SagaLockLine.State.self,
            """
            SELECT state FROM dovetail_saga_locks
            WHERE resource = \(lock.resource) AND lock_key = \(lock.key) AND number = \(number) AND state = 'waiting'
            LIMIT 1
            """)
        {
            return state
        }
        return try SagaLockCircle.closes(number, behind: lock, in: snapshot) ? .deadlock : .waiting
    }

    /// Lets go of a resource, or of the wait for it; the next in the queue holds it then, and is due. Returns the sagas of those.
    static func release(
        _ lock: SagaLock, of number: Int64, at now: Date, in transaction: Transaction
    ) throws -> Set<String> {
        try transaction.execute(
            """
            DELETE FROM dovetail_saga_locks
            WHERE resource = \(lock.resource) AND lock_key = \(lock.key) AND number = \(number) AND step = \(lock.step)
            """)
        guard let first = try first(lock, in: transaction) else { return [] }
        let moved = try transaction.execute(
            """
            UPDATE dovetail_saga_locks SET state = 'held', since = \(now)
            WHERE resource = \(lock.resource) AND lock_key = \(lock.key) AND number = \(first)
                AND state = 'waiting'
            """)
        guard moved > 0 else { return [] }
        try transaction.execute(
            "UPDATE dovetail_saga_instances SET due_at = \(now) WHERE number = \(first)")
        return Set(
            try transaction.rows(
                String.self, "SELECT saga FROM dovetail_saga_instances WHERE number = \(first)"))
    }

    /// How an instance's wait stands; nil if it has not asked.
    static func state(_ lock: SagaLock, of number: Int64, in snapshot: Snapshot) throws -> SagaLockLine.State? {
        try snapshot.row(
            SagaLockLine.State.self,
            """
            SELECT state FROM dovetail_saga_locks
            WHERE resource = \(lock.resource) AND lock_key = \(lock.key) AND number = \(number) AND step = \(lock.step)
            ORDER BY token LIMIT 1
            """)
    }

    /// The queues that an instance stands in, whole.
    static func lines(of number: Int64, in snapshot: Snapshot) throws -> [SagaLockLine] {
        try snapshot.rows(
            SagaLockLine.self,
            """
            SELECT l.resource, l.lock_key AS key, l.token, i.id, i.saga, l.step, l.state
            FROM dovetail_saga_locks l JOIN dovetail_saga_instances i ON i.number = l.number
            WHERE EXISTS (SELECT 1 FROM dovetail_saga_locks m
                WHERE m.number = \(number) AND m.resource = l.resource AND m.lock_key = l.lock_key)
            ORDER BY l.resource, l.lock_key, l.token
            """)
    }

    /// Who holds a resource. A refused one holds nobody up.
    private static func first(_ lock: SagaLock, in snapshot: Snapshot) throws -> Int64? {
        try snapshot.row(
            Int64.self,
            """
            SELECT number FROM dovetail_saga_locks
            WHERE resource = \(lock.resource) AND lock_key = \(lock.key) AND state <> 'deadlock'
            ORDER BY token LIMIT 1
            """)
    }
}
