import DovetailCore
import DovetailEvents
import Foundation
import SQLiteBinding
import Synchronization
import Testing

@testable import DovetailSQLite

@Suite struct SQLiteStoreTests {
    private let folder = TemporaryFolder()
    private var path: String { folder.path + "/deep/er/log.db" }
    private let light = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)

    private func draft(_ data: [UInt8] = [1], id: UniqueID = .v7()) -> EventDraft {
        EventDraft(id: id, type: "thing.happened", key: "k", source: "test", data: data)
    }

    private func failure(_ body: () throws -> SQLiteStore) -> LogError? {
        do {
            _ = try body()
            return nil
        } catch {
            return error as? LogError
        }
    }

    @Test func keepsEverythingOverARestart() async throws {
        let known = draft(id: UniqueID.v7())
        var identity: UniqueID?
        for round in 1...3 as ClosedRange<Int64> {
            let store = try SQLiteStore.open(path, options: light)
            #expect(identity == nil || store.log.identity.log == identity)
            identity = store.log.identity.log
            #expect(store.log.head == (round - 1) * 2)
            let append = Append(stream: "s", expected: .exactly((round - 1) * 2), events: [draft(), draft()])
            _ = try await store.log.append([append])
            if round == 1 { continue }
            await store.close()
        }
        let store = try SQLiteStore.open(path, options: light)
        _ = try await store.log.publish([known])
        await store.close()
        let again = try SQLiteStore.open(path, options: light)
        let duplicate = try await again.log.publish([known])
        #expect(duplicate.wasDuplicate && duplicate.position.number == 7)
        #expect(try await EventLogConformanceReading.numbers(again.log) == Array(1...7))
        await again.close()
    }

    @Test func closingFinishesWhatWasAccepted() async throws {
        let store = try SQLiteStore.open(path, options: light)
        let tickets = try (0..<500).map { _ in try store.log.enqueue([Append(events: [draft()])]) }
        await store.close()
        for ticket in tickets { _ = try await ticket.value }
        #expect(throws: LogError.self) { try store.log.enqueue([Append(events: [draft()])]) }
        await #expect(throws: LogError.self) { try await store.log.events(after: 0, types: nil, limit: 1) }
        await #expect(throws: LogError.self) { try await store.log.waitForHead(beyond: 10_000) }
        let again = try SQLiteStore.open(path, options: light)
        #expect(again.log.head == 500)
        await again.close()
    }

    @Test func oneProcessHasAStoreOpen() async throws {
        let store = try SQLiteStore.open(path, options: light)
        let refusal = failure { try SQLiteStore.open(path, options: light) }
        #expect(refusal?.code == .locked)
        #expect(refusal?.message.contains("\(ProcessInfo.processInfo.processIdentifier)") == true)
        await store.close()
        await (try SQLiteStore.open(path, options: light)).close()
    }

    @Test func refusesWhatIsNoStore() async throws {
        try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
        let junk = folder.path + "/junk.db"
        try Data(repeating: 0x41, count: 10_000).write(to: URL(fileURLWithPath: junk))
        #expect(failure { try SQLiteStore.open(junk, options: light) }?.code == .unreadable)

        let other = folder.path + "/other"
        let store = try SQLiteStore.open(other + "/log.db", options: light)
        let views = try store.views(module: "shop")
        _ = try await views.transaction { try $0.execute("CREATE TABLE a (id BIGINT)") }
        await store.close()
        #expect(failure { try SQLiteStore.open(other + "/views/shop.db", options: light) }?.code == .unreadable)

        let file = folder.path + "/file"
        try Data([1]).write(to: URL(fileURLWithPath: file))
        #expect(failure { try SQLiteStore.open(file + "/log.db", options: light) }?.code == .readOnly)
    }

    @Test func refusesANewerLayout() async throws {
        await (try SQLiteStore.open(path, options: light)).close()
        try patch("PRAGMA user_version = \(LogSchema.version + 1)")
        let refusal = failure { try SQLiteStore.open(path, options: light) }
        #expect(refusal?.code == .unreadable)
        #expect(refusal?.message.contains("newer") == true)
    }

    @Test func aDamagedEventIsFoundOut() async throws {
        let store = try SQLiteStore.open(path, options: light)
        _ = try await store.log.publish([draft(), draft([1, 2, 3]), draft()])
        await store.close()
        try patch("UPDATE dovetail_log SET data = x'010203FF' WHERE position = 2")
        let again = try SQLiteStore.open(path, options: light)
        #expect(try await again.log.events(after: 0, types: nil, limit: 10).scanned == 1, "a page ends before it")
        await #expect(throws: LogError.self) { try await again.log.events(after: 1, types: nil, limit: 10) }
        #expect(try await again.log.events(after: 2, types: nil, limit: 10).events.count == 1)
        await again.close()
    }

    /// Changes the file behind the store's back.
    private func patch(_ statement: String) throws {
        let connection = try SQLiteConnection(path: path)
        try connection.run(statement)
    }

    @Test func aFullDiskRefusesPublishingDefinitelyUntilThereIsSpace() async throws {
        var options = light
        options.maximumPages = 60
        let store = try SQLiteStore.open(path, options: options)
        var stored: [UniqueID] = []
        var refused: LogError?
        while refused == nil {
            let event = draft([UInt8](repeating: 7, count: 20_000))
            do {
                _ = try await store.log.publish([event])
                stored.append(event.id)
            } catch {
                refused = error as? LogError
            }
        }
        #expect(refused?.code == .storeFull)
        guard case .full = store.log.condition else {
            Issue.record("the log does not say that it is full")
            return
        }
        #expect(!stored.isEmpty)
        #expect(store.log.head == Int64(stored.count))
        for id in stored { #expect(try await store.log.event(id: id) != nil) }
        // What the engine itself has to settle goes on.
        let rows = try await store.log.transaction("settle", as: .engine) { try $0.row(Int.self, "SELECT 1") }
        #expect(rows == 1)
        await store.close()

        let roomy = try SQLiteStore.open(path, options: light)
        #expect(roomy.log.head == Int64(stored.count))
        _ = try await roomy.log.publish([draft()])
        #expect(try await EventLogConformanceReading.numbers(roomy.log) == Array(1...Int64(stored.count + 1)))
        await roomy.close()
    }

    @Test func publishingResumesWhenTheBallastIsBack() async throws {
        var options = light
        options.maximumPages = 60
        let store = try SQLiteStore.open(path, options: options)
        let ballast = path + ".ballast"
        #expect(FileManager.default.fileExists(atPath: ballast))
        await #expect(throws: LogError.self) {
            for _ in 0..<100 { _ = try await store.log.publish([draft([UInt8](repeating: 7, count: 20_000))]) }
        }
        let deadline = MonotonicTime.now + .seconds(20)
        while (try? await store.log.publish([draft()])) == nil, MonotonicTime.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
        }
        _ = try await store.log.publish([draft()])
        #expect(FileManager.default.fileExists(atPath: ballast))
        await store.close()
    }

    @Test func aDiskThatTheKeysFindFullIsAFullDiskAndSettlingGoesOnFromTheBallast() async throws {
        let folder = folder.path + "/keys-first"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let ballast = Ballast(path: folder + "/log.ballast", bytes: 4096)
        #expect(ballast.restore())
        // Keys that find no room before somebody has given some up.
        let isUnwritten = Mutex(false)
        var options = light
        options.beforeCommit = {
            guard isUnwritten.withLock({ $0 }) else { return }
            if FileManager.default.fileExists(atPath: ballast.path) {
                throw LogError(.storeFull, "keys", "the disk is full")
            }
            isUnwritten.withLock { $0 = false }
        }
        let database = try SQLiteDatabase(
            Writer.Settings(
                path: folder + "/log", durability: .operatingSystem, isLog: true, options: options, ballast: ballast),
            readers: 1)
        let log = SQLiteLog(database, identity: try #require(database.identity), durability: .operatingSystem)
        _ = try await log.append([Append(stream: "s", expected: .exactly(0), events: [draft()])])
        isUnwritten.withLock { $0 = true }
        // Who is refused for another reason is told that one.
        let conflict = await #expect(throws: LogError.self) {
            _ = try await log.append([Append(stream: "s", expected: .exactly(0), events: [draft()])])
        }
        #expect(conflict?.code == .versionConflict)
        let rows = try await log.transaction("settle", as: .engine) { try $0.row(Int.self, "SELECT 1") }
        #expect(rows == 1)
        await database.close()
    }

    @Test func viewsAreFilesOfTheirOwn() async throws {
        let store = try SQLiteStore.open(path, options: light)
        let views = try store.views(module: "shop")
        _ = try await views.transaction { try $0.execute("CREATE TABLE a (id BIGINT)") }
        #expect(FileManager.default.fileExists(atPath: folder.path + "/deep/er/views/shop.db"))
        for bad in ["", "../up", "a/b", "a.b", "ü"] {
            #expect(throws: LogError.self) { try store.views(module: bad) }
        }
        await store.close()
        #expect(throws: LogError.self) { try store.views(module: "late") }
    }

    @Test func checksumIsTheOneOfTheStandard() {
        var crc = CRC32C()
        crc.add([UInt8]("123456789".utf8))
        #expect(crc.value == 0xE306_9283)
        var zeros = CRC32C()
        zeros.add([UInt8](repeating: 0, count: 32))
        #expect(zeros.value == 0x8A91_36AA)
    }
}
