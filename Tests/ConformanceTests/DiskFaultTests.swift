import DovetailCore
import DovetailEvents
import DovetailSQLite
import DovetailTesting
import Foundation
import SQLiteBinding
import Synchronization
import Testing

/// A disk that fails at any operation of a commit: what was acknowledged is there afterwards, and what was refused is told apart from what is in doubt.
///
/// Faults are the process's, so these run one at a time.
@Suite(.serialized) struct DiskFaultTests {
    private let folder = TemporaryFolder()

    private func open() throws -> SQLiteStore {
        try SQLiteStore.open(
            folder.path + "/log.db", options: .init(durability: .disk, checkpointPages: 50, ballastBytes: 4096))
    }

    private func draft(_ number: Int) -> EventDraft {
        EventDraft(
            id: .derived(from: "\(number)"), type: "a", key: "k", source: "t",
            data: [UInt8](repeating: UInt8(number % 256), count: 600))
    }

    /// What became of publishing an event.
    private enum Outcome: Equatable {
        case acknowledged
        /// Nothing was written, for certain.
        case refused
        /// It may be there or not.
        case inDoubt
    }

    private func publish(_ number: Int, to log: any EventLog) async throws -> Outcome {
        do {
            _ = try await log.publish([draft(number)])
            return .acknowledged
        } catch let error as LogError {
            switch error.code {
            case .outcomeUnknown: return .inDoubt
            case .stopped: return .refused
            default: throw error
            }
        }
    }

    /// Each kind of fault, on the log's files, after so many operations that went well: with checkpoints coming often, at every step of commits and checkpoints.
    @Test(
        .timeLimit(.minutes(3)),
        arguments: [DiskWatch.Fault.write, .tornWrite, .sync], ["log.db-wal", "log.db"])
    func nothingAcknowledgedIsLost(_ fault: DiskWatch.Fault, _ file: String) async throws {
        defer { DiskWatch.fail(nil) }
        var struck = 0
        var next = 0
        var acknowledged: Set<Int> = []
        var refused: Set<Int> = []
        for passes in 0..<24 {
            let store = try open()
            for _ in 0..<3 {
                #expect(try await publish(next, to: store.log) == .acknowledged)
                acknowledged.insert(next)
                next += 1
            }
            DiskWatch.fail(fault, on: file, after: passes)
            var stopped = false
            for _ in 0..<120 where !stopped {
                switch try await publish(next, to: store.log) {
                case .acknowledged: acknowledged.insert(next)
                case .refused:
                    refused.insert(next)
                    stopped = true
                case .inDoubt: stopped = true
                }
                next += 1
            }
            if stopped {
                struck += 1
                guard case .stopped = store.log.condition else {
                    Issue.record("a store whose disk has failed says that it has stopped")
                    continue
                }
            }
            DiskWatch.fail(nil)
            await store.close()
            // A new life on a sound disk: what was acknowledged is there, what was refused is not, and the log is whole.
            let again = try open()
            for number in acknowledged {
                let event = try await again.log.event(id: draft(number).id)
                #expect(event?.data == draft(number).data, "\(fault) on \(file) after \(passes): \(number) is lost")
            }
            for number in refused {
                #expect(try await again.log.event(id: draft(number).id) == nil, "\(number) was refused, and is there")
            }
            let verification = try await again.log.verify { _ in }
            #expect(verification.isWhole, "\(fault) on \(file) after \(passes): \(verification.findings)")
            // Who was in doubt sends again, and is told where it stands.
            if stopped { #expect(try await publish(next - 1, to: again.log) == .acknowledged) }
            acknowledged.insert(next - 1)
            refused.remove(next - 1)
            await again.close()
        }
        #expect(acknowledged.count > 100)
        #expect(struck > 5, "the fault has struck \(struck) times")
    }

    @Test func aFailedSyncIsToldAsInDoubtAndStopsTheStore() async throws {
        defer { DiskWatch.fail(nil) }
        let store = try open()
        #expect(try await publish(1, to: store.log) == .acknowledged)
        DiskWatch.fail(.sync, on: "log.db-wal")
        #expect(try await publish(2, to: store.log) == .inDoubt)
        DiskWatch.fail(nil)
        #expect(try await publish(3, to: store.log) == .refused, "a disk that failed once is not trusted again")
        #expect(throws: LogError.self) { try store.log.enqueue([Append(events: [draft(4)])]) }
        await #expect(throws: LogError.self) { try await store.log.transaction { try $0.execute("SELECT 1") } }
        await #expect(throws: LogError.self) { try await store.log.waitForHead(beyond: 100) }
        await store.close()
    }

    @Test func aReadThatFailsIsAnErrorToWhoReadsAndNoMore() async throws {
        defer { DiskWatch.fail(nil) }
        do {
            let store = try open()
            for number in 0..<200 { _ = try await publish(number, to: store.log) }
            await store.close()
        }
        let store = try open()
        DiskWatch.fail(.read, on: "log.db")
        await #expect(throws: LogError.self) {
            for start in stride(from: Int64(0), to: 200, by: 20) {
                _ = try await store.log.events(after: start, types: nil, limit: 20)
            }
        }
        DiskWatch.fail(nil)
        let page = try await store.log.events(after: 0, types: nil, limit: 300)
        #expect(page.events.count == 200)
        await store.close()
    }

    /// What a full disk is to a read model: it waits, says so, and goes on when there is space; its program and the others do not end.
    @Test(.timeLimit(.minutes(1)))
    func aReaderWhoseDatabaseFindsTheDiskFullWaits() async throws {
        defer { DiskWatch.fail(nil) }
        let store = try open()
        func reader(_ module: String) throws -> EffectivelyOnceReader {
            let views = try store.views(module: module)
            return EffectivelyOnceReader(module, from: store.log, into: views, types: ["a"]) { event, transaction in
                try transaction.execute("CREATE TABLE IF NOT EXISTS seen (n BIGINT NOT NULL)")
                try transaction.execute("INSERT INTO seen VALUES (\(event.position.number))")
            }
        }
        let (full, other) = (try reader("full"), try reader("other"))
        try await full.prepare()
        try await other.prepare()
        DiskWatch.fail(.full, on: "full.db-wal")
        let running = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await full.run() }
                group.addTask { try await other.run() }
                try await group.waitForAll()
            }
        }
        for number in 0..<300 { #expect(try await publish(number, to: store.log) == .acknowledged) }
        try await other.wait(for: 300, until: .now + .seconds(20))
        while full.status.blocked?.attempts ?? 0 < 2 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(full.status.blocked?.error.contains("the disk is full") == true)
        #expect(full.status.scanned == 0)
        DiskWatch.fail(nil)
        try await full.wait(for: 300, until: .now + .seconds(20))
        #expect(full.status.blocked == nil)
        let views = try store.views(module: "full")
        #expect(try await views.snapshot { try $0.row(Int.self, "SELECT count(*) FROM seen") } == 300)
        running.cancel()
        try await running.value
        await store.close()
    }

    @Test func syncsAreTimed() async throws {
        let before = SyncTimes.now
        let store = try open()
        for number in 0..<20 { _ = try await publish(number, to: store.log) }
        let times = store.times
        await store.close()
        let after = SyncTimes.now
        let count = zip(before.buckets, after.buckets).reduce(0) { $0 + $1.1 - $1.0 }
        #expect(count >= 20)
        #expect(after.seconds > before.seconds)
        #expect(times.commits.count >= 20)
        #expect(times.appended == ["a": 20])
    }
}
