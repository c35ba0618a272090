import DovetailEvents
import DovetailSQLite
import Foundation
import SQLiteBinding
import Testing

/// What `verify` says of a log that somebody has tampered with, or a disk has damaged.
@Suite struct SQLiteVerifyTests {
    /// A log of thirty events, ten of them in streams, five reclaimed; damaged by statements; and what is then found.
    private func findings(after damage: String...) async throws -> [String] {
        try await findings { path in
            let connection = try SQLiteConnection(path: path, checkpointsOnClose: true)
            for statement in damage { try connection.run(statement) }
        }
    }

    private func findings(damage: (String) throws -> Void) async throws -> [String] {
        let folder = TemporaryFolder()
        let path = folder.path + "/log.db"
        let store = try SQLiteStore.open(path, options: .init(durability: .operatingSystem, ballastBytes: 4096))
        for index in 0..<10 {
            _ = try await store.log.append([
                Append(stream: "s\(index % 2)", events: [draft("s")]), Append(events: [draft("p"), draft("q")]),
            ])
        }
        let reclaimed = try await Retention(
            log: store.log, rules: [RetentionRule(topics: ["q"], positions: 15)]
        ).runOnce()
        #expect(reclaimed == 5)
        #expect(try await store.log.verify { _ in }.isWhole)
        await store.close()
        try damage(path)
        let again = try SQLiteStore.open(path, options: .init(durability: .operatingSystem, ballastBytes: 4096))
        let verification = try await again.log.verify { _ in }
        await again.close()
        return verification.findings.map(\.description)
    }

    private func draft(_ type: String) -> EventDraft {
        EventDraft(type: type, key: "k", source: "t", data: [UInt8](repeating: 7, count: 100))
    }

    @Test func findsNothingWhereNothingIsWrong() async throws {
        #expect(try await findings() == [])
    }

    @Test func findsAnEventThatWasChanged() async throws {
        for (column, value) in [
            ("data", "x'00'"), ("key", "'other'"), ("committed_at", "committed_at + 1"), ("attributes", "x'0101'"),
        ] {
            let found = try await findings(after: "UPDATE dovetail_log SET \(column) = \(value) WHERE position = 20")
            #expect(found.contains { $0.hasPrefix("at 20: ") && $0.contains("checksum") }, "\(column): \(found)")
        }
    }

    @Test func findsEventsThatAreMissing() async throws {
        let found = try await findings(after: "DELETE FROM dovetail_log WHERE position IN (17, 20, 21)")
        #expect(found.contains("at 17: the event is missing, and was not reclaimed"), "\(found)")
        #expect(found.contains("at 20: the events up to 21 are missing, and were not reclaimed"), "\(found)")
        #expect(found.contains { $0.contains("22 events are there and 5 were reclaimed") }, "\(found)")
    }

    /// Within a range of which some were reclaimed, the count tells.
    @Test func findsAnEventThatIsMissingAmongThoseReclaimed() async throws {
        let found = try await findings(after: "DELETE FROM dovetail_log WHERE position = 5")
        #expect(
            found == ["24 events are there and 5 were reclaimed, which is not the log's last number, 30"], "\(found)")
    }

    @Test func findsAStreamWithAGap() async throws {
        let found = try await findings(
            after: "DELETE FROM dovetail_log WHERE position = 19",
            "UPDATE dovetail_streams SET version = 9 WHERE name = 's1'")
        #expect(found.contains { $0.contains("'s0' is at version 5, and has 4 events") }, "\(found)")
        #expect(found.contains { $0.contains("'s1' is at version 9, and has 5 events from 1 to 5") }, "\(found)")
    }

    @Test func findsAPageThatIsDamaged() async throws {
        let found = try await findings { path in
            let connection = try SQLiteConnection(path: path)
            guard
                case .integer(let page)? = try connection.value(
                    "SELECT rootpage FROM sqlite_master WHERE name = 'dovetail_log_stream'")
            else { return }
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            try file.seek(toOffset: UInt64(page - 1) * 4096)
            try file.write(contentsOf: Data([0xFF, 0xFF]))
            try file.close()
        }
        #expect(found.contains { $0.contains("structure is damaged") || $0.contains("malformed") }, "\(found)")
    }

    @Test func aStoreOfTheLayoutBeforeIsTakenOver() async throws {
        let found = try await findings(
            after: "DELETE FROM dovetail_reclaimed", "DROP TABLE dovetail_reclaimed", "PRAGMA user_version = 1")
        #expect(found.contains { $0.contains("missing, and was not reclaimed") }, "the table is there again: \(found)")
    }

    @Test func saysNoMoreThanOneCanRead() async throws {
        let found = try await findings(after: "UPDATE dovetail_log SET data = x''")
        #expect(found.count == 25)
        var verification = LogVerification()
        for number in 1...200 { verification.find(Int64(number), "x") }
        #expect(verification.findings.count == LogVerification.maximumFindings)
        #expect(verification.findings.last?.message.contains("more") == true)
    }
}
