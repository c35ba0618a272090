import DovetailEvents
import DovetailSQLite
import Foundation
import Testing

/// `events check-stored` on a log that another program has written.
extension IntegrationTests {
    @Suite struct StoredEventCommands {
        @Test(
            "What this program cannot read is told by type, version, part and missing upcaster, and the command ends with 1",
            .timeLimit(.minutes(1)))
        func unreadable() async throws {
            let shop = try RunningShop()
            func append(_ type: String, _ version: Int) async throws {
                let store = try SQLiteStore.open(shop.folder.path + "/data/main.db")
                let draft = EventDraft(
                    type: type, version: version, key: "7", source: "orders", data: Array(#"{"orderID":"7"}"#.utf8))
                _ = try await store.log.publish([draft])
                await store.close()
            }
            try await append("weather.changed", 1)
            let passed = try await shop.command("events", "check-stored", "--node", "main")
            #expect(passed.status == 0, "\(passed.all)")
            #expect(passed.output.contains("weather.changed: no part of this program declares it; 1 were passed over"))

            try await append("order.created", 0)
            try await append("order.created", 0)
            let result = try await shop.command("events", "check-stored", "--node", "main")
            #expect(result.status == 1, "\(result.all)")
            for part in [
                "order.created v0: ", " cannot read 2, the first at 2: ",
                "'order.created' is stored in version 0, and version 1 is asked for: no upcaster leads from version 0",
                "the read model 'order_views'", "this program cannot read all 3 events",
            ] {
                #expect(result.output.contains(part), "'\(part)' is missing: \(result.all)")
            }
            let json = try await shop.command("events", "check-stored", "--node", "main", "--json")
            #expect(json.status == 1, "\(json.all)")
            #expect(json.output.contains(#""type":"order.created""#) && json.output.contains(#""version":0"#))
        }
    }
}
