import Foundation
import Testing

/// The commands on a log and its store, on a node that runs and on one that does not.
extension IntegrationTests {
    @Suite struct LogCommands {
        @Test(
            "Publish, schedule, verify, back up and restore: on a running node, on a stopped one, and what is said when something is wrong"
        )
        func commands() async throws {
            let outpost = try Outpost(files: ["platform.yaml"])
            try await outpost.start()
            func events(_ arguments: String..., status: Int32 = 0) async throws -> String {
                let result = try await Shell.run(
                    Checkout.program("dovetail"), ["events"] + arguments, in: outpost.folder.path,
                    environment: outpost.environment)
                #expect(result.status == status, "\(arguments): \(result.all)")
                return result.all
            }
            #expect(
                try await events("publish", "order.placed", "--key", "k", "--data", #"{"total":5}"#).contains(".1.1"))
            let again = try await events("publish", "order.placed", "--id", "seven", "--data", "1", "--json")
            #expect(again.contains(#""wasDuplicate":false"#))
            #expect(try await events("publish", "order.placed", "--id", "seven", "--data", "1").contains("already"))
            #expect(try await events("publish", "a..b", status: 1).contains("'type'"))
            #expect(try await events("publish", "a", "--data", "{", status: 1).contains("no JSON"))
            let waiting = try await events("publish", "order.placed", "--at", "2099-01-01T00:00:00Z")
            let id = String(waiting.prefix { $0 != " " })
            #expect(try await events("schedule").contains(id))
            #expect(try await events("schedule", "cancel", id).contains("taken back"))
            #expect(try await events("schedule", "cancel", id, status: 1).contains("waits"))
            #expect(try await events("verify").hasPrefix("the log is whole: 2 events, 0 reclaimed, up to 2"))
            #expect(try await events("backup", "copy").contains("up to 2"))
            #expect(try await events("backup", "copy", status: 1).contains("already"))
            #expect(
                try await events("replay", "invoices", "--from", "beginning", "--dry-run").contains("0 events would"))
            #expect(
                try await events("replay", "none", "--from", "beginning", status: 1).contains("no such subscription"))
            #expect(try await events("seek", "invoices", "2000-01-01T00:00:00Z").contains("goes on after 0"))
            #expect(try await events("seek", "invoices", "then", status: 64).contains("place"))
            #expect(try await events("forget", "invoices", status: 1).contains("part of this program"))
            #expect(try await events("restore", "copy", status: 1).contains("already"))
            let typo = try await events("dead-letters", "redrive", "invoices", "--reason", "faild", status: 1)
            #expect(typo.contains("'faild' is no reason"), "\(typo)")
            await outpost.kill(SIGKILL)

            // Nothing runs: the commands look into the store themselves.
            #expect(try await events("verify", "--json").contains(#""findings":[]"#))
            #expect(try await events("tail", "--no-follow").contains("order.placed"))
            #expect(try await events("subscriptions").contains("it is not running"))
            #expect(try await events("publish", "order.placed", "--data", "2").contains(".1."))
            #expect(try await events("dead-letters", "redrive", "invoices", status: 69).contains("not running"))
            let store = "\(outpost.folder.path)/data/billing.db"
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: store))
            let bytes = try #require(try file.readToEnd())
            let place = try #require(bytes.range(of: Data(#"{"total":5}"#.utf8)))
            try file.seek(toOffset: UInt64(place.lowerBound + 9))
            try file.write(contentsOf: Data("6".utf8))
            try file.close()
            let damaged = try await events("verify", status: 1)
            #expect(damaged.contains("at 1: the event at position 1 is damaged"), "\(damaged)")
            #expect(damaged.contains("restore a backup"))

            // The backup is from before.
            try FileManager.default.moveItem(
                atPath: "\(outpost.folder.path)/data", toPath: "\(outpost.folder.path)/damaged")
            #expect(try await events("restore", "copy").contains("the log up to 2, in a new life"))
            #expect(try await events("verify").hasPrefix("the log is whole: 2 events"))
            try await outpost.start()
            #expect(try await events("publish", "order.placed").contains(".3"))
            await outpost.kill(SIGTERM)
        }
    }
}
