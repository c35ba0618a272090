import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailPrivacy
import DovetailSQLite
import Foundation
import Testing

/// Forgetting across crashes, old files of keys, and nodes.
@Suite struct ForgettingTests {
    private func told(_ log: any EventLog) async throws -> [String] {
        try await log.events(after: 0, types: ["dovetail.privacy.subject-forgotten"], limit: 100).events.map(\.key)
    }

    @Test("The log is told once of each who is forgotten, with why and when")
    func tells() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            try await node.register("c-1", "ann@example.com")
            let forgotten = try await node.privacy.forget("c-1", reason: "she asked")
            try await node.privacy.forget("c-1", reason: "again")
            let events = try await node.store.log.events(
                after: 0, types: ["dovetail.privacy.subject-forgotten"], limit: 10
            ).events
            let payload = try #require(try events.first?.payload(PrivacyEvents().subjectForgotten).payload)
            #expect(events.count == 1)
            #expect(payload.subject == "c-1" && payload.reason == "she asked")
            #expect(abs(payload.at.timeIntervalSince(forgotten.at)) < 0.001)
            await node.close()
        }
    }

    @Test(
        "A crash between any two steps of forgetting is made good at the next start",
        arguments: ["before the log is told", "before that is noted"])
    func finishes(_ moment: String) async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            try await node.register("c-1", "ann@example.com")
            // The steps of Privacy.forget, up to the crash.
            let forgotten = try node.store.keys.forget("c-1", reason: nil)
            if moment == "before that is noted" {
                try await node.privacy.forget("c-2")
                #expect(try await Set(told(node.store.log)) == ["c-1", "c-2"])
                let keys = try #require(node.store.keys.store as? SQLiteKeyStore)
                try await node.withKeys { try await unnote(keys.name) }
            }
            await node.close()
            let again = try await TestNode(folder)
            #expect(try again.store.keys.store.unannounced() == [])
            #expect(try await told(again.store.log).filter { $0 == "c-1" }.count == 1)
            #expect(try again.store.keys.store.forgotten("c-1") == forgotten)
            #expect(try await again.customer("c-1").email?.isForgotten == true)
            await again.close()
        }
    }

    /// As if the process had died before it noted that the log was told.
    private func unnote(_ path: String) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import sqlite3,sys; c = sqlite3.connect(sys.argv[1]); c.execute('UPDATE forgotten_subjects SET announced = 0'); c.commit()",
            path,
        ]
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
    }

    @Test("An old file of keys that is brought back forgets, before anything is read, whom the log tells of")
    func heedsTheLog() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder + "/data")
            try await node.register("c-1", "ann@example.com")
            try await node.register("c-2", "bob@example.com")
            try await node.store.backUpKeys(to: folder + "/keys")
            let mode = try FileManager.default.attributesOfItem(atPath: folder + "/keys")[.posixPermissions]
            #expect(mode as? Int == 0o600)
            await #expect(throws: LogError.self) { try await node.store.backUpKeys(to: folder + "/keys") }
            try await node.privacy.forget("c-1")
            await node.close()
            for rest in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: node.keyPath + rest) }
            // Without keys nothing is taken for forgotten that is not.
            let bare = try await TestNode(folder + "/data")
            await #expect(throws: (any Error).self) { try await bare.customer("c-2") }
            await bare.close()
            for rest in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: node.keyPath + rest) }
            try FileManager.default.copyItem(atPath: folder + "/keys", toPath: node.keyPath)
            let again = try await TestNode(folder + "/data")
            #expect(try await again.customer("c-1").email?.isForgotten == true)
            #expect(try await again.customer("c-2").email?.value == "bob@example.com")
            await again.close()
        }
    }

    @Test("No rule of retention removes that somebody is forgotten, which an old file of keys has to be told")
    func outlivesRetention() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            for log in [node.store.log, try MemoryStore().log] {
                let told = PrivacyEvents().subjectForgotten(.init(subject: "c-1", at: Date(), reason: nil))
                _ = try await log.publish([
                    try EventDraft(told, source: "t", context: nil),
                    EventDraft(type: "other", key: "k", source: "t", data: []),
                ])
                let rules: [[TopicPattern]] = [["#"], ["dovetail.*.*"], [TopicPattern(told.name)]]
                let retention = Retention(
                    log: log, rules: rules.map { RetentionRule(topics: $0, age: .zero, bytes: 0, positions: 0) })
                #expect(try await retention.runOnce(now: Date().addingTimeInterval(60)) == 1)
                #expect(try await log.events(after: 0, types: nil, limit: 10).events.map(\.type) == [told.name])
            }
            await node.close()
        }
    }

    @Test("A wrong master key keeps a store from being opened, and says what to set")
    func refusesAWrongMasterKey() async throws {
        try await withFolder { folder in
            let right = "the-right-master-key-of-thirty-two-characters"
            let node = try await TestNode(folder, master: right)
            try await node.register("c-1", "ann@example.com")
            await node.close()
            let wrong = await #expect(throws: PersonalDataError.self) {
                _ = try await TestNode(folder, master: "another-master-key-of-thirty-two-characters")
            }
            #expect(wrong?.description.contains("privacy.key") == true)
            let again = try await TestNode(folder, master: right)
            #expect(try await again.customer("c-1").email?.value == "ann@example.com")
            await again.close()
        }
    }

    @Test(
        "A key that cannot be kept keeps what it sealed from being written, and a subject that cannot be forgotten is not said to be"
    )
    func restsOnItsKeys() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            // Something else is where the keys would be.
            try FileManager.default.createDirectory(atPath: node.keyPath, withIntermediateDirectories: false)
            let refused = await #expect(throws: LogError.self) { try await node.register("c-1", "ann@example.com") }
            #expect(refused?.subject == node.keyPath)
            #expect(node.store.log.head == 0)
            await #expect(throws: LogError.self) { try await node.privacy.forget("c-1") }
            #expect(try await told(node.store.log) == [])
            try FileManager.default.removeItem(atPath: node.keyPath)
            try await node.register("c-1", "ann@example.com")
            await node.close()
            let again = try await TestNode(folder)
            #expect(try await again.customer("c-1").email?.value == "ann@example.com")
            await again.close()
        }
    }

    @Test(
        "A subject whose keys could not be overwritten, because somebody reads the file, is not said to be forgotten, and is not read"
    )
    func overwrites() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            try await node.register("c-1", "ann@example.com")
            let other = try OtherReader(of: node.keyPath)
            let refused = await #expect(throws: LogError.self) { try await node.privacy.forget("c-1") }
            #expect(refused?.description.contains("forget again") == true)
            #expect(try await node.customer("c-1").email?.isForgotten == true)
            #expect(try await told(node.store.log) == [])
            other.end()
            try await node.privacy.forget("c-1")
            #expect(try await told(node.store.log) == ["c-1"])
            await node.close()
        }
    }

    @Test("Keys that were removed, and by a crash not overwritten, are so at the next opening, before the log is told")
    func overwritesAfterACrash() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder + "/data")
            try await node.register("c-1", "ann@example.com")
            let secret = try #require(try await node.secrets().first)
            let other = try OtherReader(of: node.keyPath)
            await #expect(throws: LogError.self) { try await node.privacy.forget("c-1") }
            // What a crash at this moment leaves.
            try FileManager.default.copyItem(atPath: folder + "/data", toPath: folder + "/crashed")
            other.end()
            await node.close()
            #expect(!(try files(in: folder + "/crashed", holding: secret)).isEmpty)
            let again = try await TestNode(folder + "/crashed")
            #expect(try files(in: folder + "/crashed", holding: secret) == [])
            #expect(try await told(again.store.log) == ["c-1"])
            await again.close()
        }
    }

    @Test(
        "Who is forgotten because the log says so is overwritten as soon as nobody reads the file, and who because another node says so",
        .timeLimit(.minutes(1)), arguments: ["the log", "another node"])
    func overwritesLater(_ teller: String) async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            try await node.register("c-1", "ann@example.com")
            let secret = try #require(try await node.secrets().first)
            let other = try OtherReader(of: node.keyPath)
            let heeding = Task { try await node.privacy.run() }
            let shared = SharedKeys(keys: [], forgotten: ["c-1"])
            if teller == "the log" {
                let told = PrivacyEvents().subjectForgotten(.init(subject: "c-1", at: Date(), reason: nil))
                _ = try await node.store.log.publish([try EventDraft(told, source: "elsewhere", context: nil)])
            } else {
                // A feed tries again, and does not go on.
                for _ in 0..<2 { #expect(throws: LogError.self) { try node.store.keys.take(shared) } }
            }
            while try node.store.keys.store.forgotten("c-1") == nil { try await Task.sleep(for: .milliseconds(5)) }
            #expect(try await node.customer("c-1").email?.isForgotten == true)
            #expect(!(try files(in: folder, holding: secret)).isEmpty)
            other.end()
            if teller == "another node" { try node.store.keys.take(shared) }
            while !(try files(in: folder, holding: secret)).isEmpty { try await Task.sleep(for: .milliseconds(20)) }
            heeding.cancel()
            try await heeding.value
            await node.close()
        }
    }

    @Test("Keys that a new master key locked, and could not overwrite as they were, are so at the next opening")
    func overwritesWhatWasLocked() async throws {
        try await withFolder { folder in
            let path = folder + "/keys"
            let master = MasterKey(secret: "a-master-key-of-more-than-thirty-two-characters")
            let plain = try SQLiteKeyStore(path: path)
            let ring = try KeyRing(plain)
            let sealed = try ring.seal(Array("ann".utf8), of: "a")
            try ring.flush()
            let secret = try #require(try ring.share([sealed]).keys.first?.secret)
            plain.close()
            let other = try OtherReader(of: path)
            let held = try SQLiteKeyStore(path: path)
            #expect(throws: LogError.self) { _ = try KeyRing(held, master: master) }
            held.close()
            other.end()
            #expect(!(try files(in: folder, holding: secret)).isEmpty)
            let again = try SQLiteKeyStore(path: path)
            #expect(
                try KeyRing(again, master: master).open(sealed).map { String(decoding: $0, as: UTF8.self) } == "ann")
            #expect(try files(in: folder, holding: secret) == [])
            again.close()
        }
    }

    @Test("A file of keys that was closed is neither written nor opened again")
    func staysClosed() async throws {
        try await withFolder { folder in
            let store = try SQLiteKeyStore(path: folder + "/keys")
            let ring = try KeyRing(store)
            _ = try ring.seal([1], of: "a")
            try ring.flush()
            store.close()
            _ = try ring.seal([1], of: "b")
            let refused = #expect(throws: LogError.self) { try ring.flush() }
            #expect(refused?.code == .stopped)
            let again = try SQLiteKeyStore(path: folder + "/keys")
            #expect(try again.subjects(after: "", limit: 10).map(\.subject) == ["a"])
            again.close()
        }
    }

    @Test(
        "What another node publishes can be read here, and is forgotten here when it is forgotten there",
        .timeLimit(.minutes(1)))
    func crossesNodes() async throws {
        try await withFolder { folder in
            let (here, there) = (try await TestNode(folder + "/here"), try await TestNode(folder + "/there"))
            let topics: [TopicPattern] = ["customer.registered", "dovetail.privacy.subject-forgotten"]
            let (from, into) = (there.store, here.store.log)
            let feed = EventFeed("feed", into: into) { after in
                // The other node answers from its own keys; what it says goes over the wire.
                let page = try await PersonalData.$vault.withValue(from.keys) {
                    try await from.log.feed(after: after, topics: topics, limit: 2, wait: .seconds(5))
                }
                return try JSON.decode(FeedPage.self, from: try JSON.encode(page))
            }
            try await there.register("c-1", "ann@example.com")
            try await there.register("c-2", "bob@example.com")
            // Of her this node has a key of its own, too.
            try await here.register("c-1", "ann@work.example.com")
            try await there.privacy.forget("c-2")
            try await here.withKeys {
                let feeding = Task { try await feed.run() }
                let heeding = Task { try await here.privacy.run() }
                while into.head < 4 { _ = try await into.waitForHead(beyond: into.head) }
                let events = try await into.events(after: 1, types: ["customer.registered"], limit: 10).events
                let emails = try events.map { try $0.payload(Customer.registered).payload.email }
                #expect(emails.map(\.value) == ["ann@example.com", nil])
                #expect(try here.store.keys.store.status(of: "c-1")?.keys == 2)
                #expect(try here.store.keys.store.forgotten("c-2") != nil)

                try await there.privacy.forget("c-1")
                while try here.store.keys.store.forgotten("c-1") == nil { try await Task.sleep(for: .milliseconds(5)) }
                let gone = try await into.events(after: 0, types: ["customer.registered"], limit: 10).events
                #expect(try gone.allSatisfy { try $0.payload(Customer.registered).payload.email.isForgotten })
                #expect(try await here.customer("c-1").email?.isForgotten == true)
                // It is told on, and not told anew.
                while try await told(into).count < 2 { try await Task.sleep(for: .milliseconds(5)) }
                #expect(try here.store.keys.store.unannounced() == [])
                feeding.cancel()
                heeding.cancel()
                try await feeding.value
                try await heeding.value
            }
            #expect(try files(in: folder, holding: "ann@") == [])
            await here.close()
            await there.close()
        }
    }

    @Test(
        "A command that is decided while its subject is forgotten is decided on what is left",
        .timeLimit(.minutes(1)))
    func decidesAnew() async throws {
        try await withFolder { folder in
            let node = try await TestNode(folder)
            try await node.register("c-1", "ann@example.com")
            try await node.withKeys {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<50 {
                        group.addTask {
                            // What was read is written again as the same text, whoever is forgotten meanwhile.
                            _ = try await node.commands.execute(
                                Customer.aggregate, "c-1", source: "t", context: nil
                            ) { customer in
                                [Customer.registered(.init(id: "c-1", email: customer.email ?? .forgotten("c-1")))]
                            }
                        }
                    }
                    group.addTask { try await node.privacy.forget("c-1") }
                    try await group.waitForAll()
                }
            }
            let customer = try await node.customer("c-1")
            #expect(customer.email?.isForgotten == true && customer.changes == 51)
            await node.close()
        }
    }
}

/// Another process that reads a file of keys, which keeps its write-ahead log from being emptied.
private struct OtherReader {
    private let process = Process()
    private let input = Pipe()

    init(of path: String) throws {
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-c",
            "import sqlite3,sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN'); c.execute('SELECT * FROM subject_keys').fetchall(); print('r', flush=True); sys.stdin.read()",
            path,
        ]
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        try #require(output.fileHandleForReading.readData(ofLength: 1).count == 1)
    }

    /// Kills it, so that it empties nothing.
    func end() {
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
