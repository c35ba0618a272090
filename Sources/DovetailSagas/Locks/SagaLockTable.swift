import DovetailCore
import DovetailEvents
import Foundation

/// The queues for resources, in the tables of sagas: each change is part of the transition that it belongs to.
///
/// The first in a queue holds the resource. Who asks while he would have to wait for one that waits for him, over however many others, is refused at once: waits only begin here, so
/// no circle comes about in another way.
enum SagaLockTable {
    private struct Row: Decodable { var token: Int64, number: Int64 }

    /// Asks for a resource; returns the fencing token, and whether there is an answer already: it is held, or never will be.
    static func ask(
        _ lock: SagaLock, for number: Int64, at now: Date, in transaction: Transaction
    ) throws -> (token: Int64, isAnswered: Bool) {
        try transaction.execute("UPDATE dovetail_saga_tokens SET token = token + 1 WHERE name = 'lock'")
        let token = try transaction.row(Int64.self, "SELECT token FROM dovetail_saga_tokens WHERE name = 'lock'") ?? 0
        let ahead = try queue(lock.resource, lock.key, in: transaction)
        var state = SagaLockLine.State.held
        if let first = ahead.first, first.number != number {
            let isCircle = try ahead.contains { try waits($0.number, for: number, in: transaction) }
            state = isCircle ? .deadlock : .waiting
        }
        try transaction.execute(
            """
            INSERT INTO dovetail_saga_locks (resource, lock_key, token, number, step, state, since)
            VALUES (\(lock.resource), \(lock.key), \(token), \(number), \(lock.step), \(state.rawValue), \(now))
            """)
        return (token, state != .waiting)
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
        let queue = try queue(lock.resource, lock.key, in: transaction)
        guard let first = queue.first else { return [] }
        // Who has asked twice holds it twice.
        let moved = try transaction.execute(
            """
            UPDATE dovetail_saga_locks SET state = 'held', since = \(now)
            WHERE resource = \(lock.resource) AND lock_key = \(lock.key) AND number = \(first.number)
                AND state = 'waiting'
            """)
        guard moved > 0 else { return [] }
        try transaction.execute(
            "UPDATE dovetail_saga_instances SET due_at = \(now) WHERE number = \(first.number)")
        return Set(
            try transaction.rows(
                String.self, "SELECT saga FROM dovetail_saga_instances WHERE number = \(first.number)"))
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

    /// Those that hold a resource or come before who asks now. A refused one holds nobody up.
    private static func queue(_ resource: String, _ key: String, in snapshot: Snapshot) throws -> [Row] {
        try snapshot.rows(
            Row.self,
            """
            SELECT token, number FROM dovetail_saga_locks
            WHERE resource = \(resource) AND lock_key = \(key) AND state <> 'deadlock' ORDER BY token
            """)
    }

    /// Whether an instance waits for another, directly or over others.
    private static func waits(_ number: Int64, for other: Int64, in snapshot: Snapshot) throws -> Bool {
        struct Wait: Decodable { var resource: String, lockKey: String, token: Int64 }
        var seen: Set<Int64> = [number]
        var open = [number]
        while let next = open.popLast() {
            if next == other { return true }
            let waits = try snapshot.rows(
                Wait.self,
                "SELECT resource, lock_key, token FROM dovetail_saga_locks WHERE number = \(next) AND state = 'waiting'"
            )
            for wait in waits {
                for row in try queue(wait.resource, wait.lockKey, in: snapshot)
                where row.token < wait.token && seen.insert(row.number).inserted {
                    open.append(row.number)
                }
            }
        }
        return false
    }
}
