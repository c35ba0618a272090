import Foundation
import Testing

/// Personal data of the shop's customers, by its doors and on its disk.
extension IntegrationTests {
    @Suite struct PrivacyCommands {
        private static let email = "ann.of.green.gables@example.com"

        /// The files of the shop that hold a text.
        private func files(of shop: RunningShop, holding text: String) throws -> [String] {
            let names = FileManager.default.enumerator(atPath: shop.folder.path)?.compactMap { $0 as? String } ?? []
            return names.filter { name in
                let content = try? Data(contentsOf: URL(fileURLWithPath: "\(shop.folder.path)/\(name)"))
                return content?.range(of: Data(text.utf8)) != nil
            }
        }

        @Test(
            "A customer's address is told to her and lies nowhere in plain; forgotten, it is gone for good, on record, also from a backup"
        )
        func forgets() async throws {
            try await withShop { shop in
                let token = try await shop.token(scope: "users:read users:write")
                func ask(_ arguments: String..., status: Int32 = 0) async throws -> String {
                    let result = try await shop.command("privacy", with: arguments)
                    #expect(result.status == status, "\(arguments): \(result.all)")
                    return result.all
                }
                func change(_ email: String) async throws -> Curl.Answer {
                    try await Curl.send(
                        "PUT", shop.url + "/api/users/user-1/email", token: token, body: #"{"email":"\#(email)"}"#)
                }
                func user() async throws -> String {
                    try await Curl.send("GET", shop.url + "/api/users/user-1", token: token).body
                }
                #expect(try await ask("subjects").contains("there are none"))
                #expect(try await ask("status", "user-1", status: 1).contains("keeps nothing personal of 'user-1'"))
                let changed = try await change(Self.email)
                #expect(changed.status == 204, "\(changed)")
                #expect(try await user().contains(Self.email))
                #expect(try await ask("subjects").contains("user-1: 1 key, the first since "))
                let backup = try await shop.command("events", "backup", "\(shop.folder.path)/backup")
                #expect(backup.status == 0, "\(backup.all)")
                #expect(try await ask("backup-keys", "\(shop.folder.path)/old-keys").contains("old-keys"))
                #expect(try files(of: shop, holding: Self.email) == [])
                #expect(!(try files(of: shop, holding: "user.email-changed").isEmpty))

                let forgotten = try await ask("forget", "user-1", "--reason", "she asked for it")
                #expect(forgotten.contains("user-1: forgotten at ") && forgotten.contains("(she asked for it)"))
                #expect(try await !user().contains(Self.email))
                #expect(try await user().contains(#""id":"user-1""#))
                let again = try await change(Self.email)
                #expect(again.status == 410 && again.body.contains("subject-forgotten"), "\(again)")
                let tail = try await shop.command("events", "tail", "--after", "0", "--no-follow")
                for record in ["dovetail.privacy.subject-forgotten", "$operator.subject-forgotten"] {
                    #expect(tail.output.contains("\(record)  user-1"), "\(tail.all)")
                }
                let stored = try await shop.command("events", "check-stored")
                #expect(stored.status == 0, "\(stored.all)")
                #expect(try await shop.command("check").output.contains("holds personal data") == false)

                // Nothing runs: the same is known, of the same keys.
                await shop.stop("main")
                #expect(try await ask("status", "user-1", "--json").contains(#""keys":0"#))
                #expect(try await ask("forget", "user-1").contains("she asked for it"))
                let wrong = try await Shell.run(
                    Checkout.program("shop"), ["privacy", "status", "user-1"], in: shop.folder.path,
                    environment: ["DOVETAIL_PRIVACY_KEY": "another-key-of-thirty-two-characters-or-more"])
                #expect(wrong.status == 1 && wrong.all.contains("set privacy.key"), "\(wrong.all)")

                // Keys of before, and the log of today: who is forgotten stays so.
                let keys = "\(shop.folder.path)/data/main.db.keys"
                try FileManager.default.removeItem(atPath: keys)
                for rest in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: keys + rest) }
                try FileManager.default.copyItem(atPath: "\(shop.folder.path)/old-keys", toPath: keys)
                try await shop.start("main")
                #expect(try await !user().contains(Self.email))
                #expect(try files(of: shop, holding: Self.email) == [])
            }
        }
    }
}
