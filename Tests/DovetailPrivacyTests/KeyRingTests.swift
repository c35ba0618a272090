import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailSQLite
import Foundation
import Synchronization
import Testing

@testable import DovetailPrivacy

/// The keys at work, over each place that they are kept in.
@Suite struct KeyRingTests {
    private static let secret = "a-master-key-of-more-than-thirty-two-characters"

    private func open(_ sealed: SealedText, _ ring: KeyRing) throws -> String? {
        try ring.open(sealed).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("What is forgotten is absent, nothing new is sealed for it, and others are as they were")
    func forgets() async throws {
        try await withFolder { folder in
            for store: any SubjectKeyStore in [MemoryKeyStore(), try SQLiteKeyStore(path: folder + "/keys")] {
                let ring = try KeyRing(store)
                let (a, b) = (try ring.seal(Array("one".utf8), of: "a"), try ring.seal(Array("two".utf8), of: "b"))
                #expect(try open(a, ring) == "one")
                try ring.flush()
                let first = try ring.forget("a", reason: "asked for it")
                #expect(try ring.open(a) == nil)
                #expect(try open(b, ring) == "two")
                #expect(throws: PersonalDataError(.subjectForgotten, "a")) { try ring.seal([1], of: "a") }
                // Once more, it is as it was.
                #expect(try ring.forget("a", reason: "again") == first)
                // Also for who never had a key.
                try ring.forget("c", reason: nil)
                #expect(throws: PersonalDataError(.subjectForgotten, "c")) { try ring.seal([1], of: "c") }
                #expect(try store.subjects(after: "", limit: 10).map(\.subject) == ["a", "b", "c"])
                #expect(try store.status(of: "a")?.keys == 0)
                #expect(try store.status(of: "b")?.keys == 1)
                #expect(try store.status(of: "d") == nil)
            }
        }
    }

    @Test("Any change to a sealed text is an error, never an absence")
    func noticesTampering() throws {
        let ring = try KeyRing(MemoryKeyStore())
        let sealed = try ring.seal(Array("ann".utf8), of: "a")
        let other = try ring.seal(Array("bob".utf8), of: "b")
        let parts = sealed.text.split(separator: ".").map(String.init)
        let others = other.text.split(separator: ".").map(String.init)
        // Another's bytes, another's key, another's name.
        for swapped in [
            [parts[0], parts[1], parts[2], others[3]], [parts[0], parts[1], others[2], parts[3]],
            [parts[0], others[1], parts[2], parts[3]], [parts[0], others[1], others[2], parts[3]],
        ] {
            let text = try #require(SealedText(swapped.joined(separator: ".")))
            let error = #expect(throws: PersonalDataError.self) { try ring.open(text) }
            #expect(error?.code == .tampered)
        }
        for index in sealed.bytes.indices {
            for changed in [sealed.bytes[index] ^ 1, sealed.bytes[index] ^ 0x80] {
                var bytes = sealed.bytes
                bytes[index] = changed
                let text = SealedText(of: "a", key: sealed.key) { _ in bytes }
                let error = #expect(throws: PersonalDataError.self) { try ring.open(text) }
                #expect(error?.code == .tampered)
            }
        }
        let cut = SealedText(of: "a", key: sealed.key) { _ in Array(sealed.bytes.dropLast(8)) }
        #expect(throws: PersonalDataError(.tampered, "a")) { try ring.open(cut) }
    }

    @Test("A key that is missing without its subject being forgotten is an error, never an absence")
    func noticesMissingKeys() throws {
        let sealed = try KeyRing(MemoryKeyStore()).seal([1], of: "a")
        #expect(throws: PersonalDataError(.keyMissing, "a")) { try KeyRing(MemoryKeyStore()).open(sealed) }
    }

    @Test("Whatever text there is, reading it as a sealed one ends with nil or what it says")
    func readsAnyText() throws {
        let ring = try KeyRing(MemoryKeyStore())
        let sealed = try ring.seal(Array("ann".utf8), of: "käthe.1")
        #expect(SealedText(sealed.text) == sealed && sealed.subject == "käthe.1")
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<2000 {
            var bytes = Array(sealed.text.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                switch Int.random(in: 0..<3, using: &generator) {
                case 0 where !bytes.isEmpty: bytes.remove(at: Int.random(in: bytes.indices, using: &generator))
                case 1:
                    bytes.insert(
                        .random(in: 0...255, using: &generator), at: Int.random(in: 0...bytes.count, using: &generator))
                default:
                    if !bytes.isEmpty {
                        bytes[Int.random(in: bytes.indices, using: &generator)] = .random(
                            in: 33...126, using: &generator)
                    }
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let read = SealedText(text), text != sealed.text else { continue }
            #expect(throws: PersonalDataError.self) { try ring.open(read) }
        }
    }

    @Test("Keys outlive the process, and those that are held in memory are a bounded number")
    func keepsKeys() async throws {
        try await withFolder { folder in
            let store = try SQLiteKeyStore(path: folder + "/keys")
            let ring = try KeyRing(store, limit: 10)
            let sealed = try (0..<100).map { try ring.seal(Array("v\($0)".utf8), of: "s\($0)") }
            // Also those that are not durable yet are there, and no second one is made.
            for (index, text) in sealed.enumerated() { #expect(try open(text, ring) == "v\(index)") }
            #expect(try ring.seal([1], of: "s3").key == sealed[3].key)
            try ring.flush()
            for (index, text) in sealed.enumerated() { #expect(try open(text, ring) == "v\(index)") }
            #expect(try ring.seal([1], of: "s3").key == sealed[3].key)
            store.close()
            let again = try KeyRing(try SQLiteKeyStore(path: folder + "/keys"))
            for (index, text) in sealed.enumerated() { #expect(try open(text, again) == "v\(index)") }
        }
    }

    @Test("The file of keys is its owner's only, and without a first key there is none")
    func guardsItsFile() async throws {
        try await withFolder { folder in
            let ring = try KeyRing(try SQLiteKeyStore(path: folder + "/keys"))
            #expect(!FileManager.default.fileExists(atPath: folder + "/keys"))
            _ = try ring.seal([1], of: "a")
            try ring.flush()
            for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
                let mode = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.posixPermissions]
                #expect(mode as? Int == 0o600, "\(name)")
            }
        }
    }

    @Test(
        "With a master key no key lies in the file as it is; another master key is a clear error; a new one locks anew")
    func locksKeys() async throws {
        try await withFolder { folder in
            let path = folder + "/keys"
            func ring(_ master: String?, _ previous: String? = nil) throws -> (KeyRing, SQLiteKeyStore) {
                let store = try SQLiteKeyStore(path: path)
                return (
                    try KeyRing(
                        store, master: master.map { MasterKey(secret: $0) },
                        previous: previous.map { [MasterKey(secret: $0)] } ?? []), store
                )
            }
            let (plain, first) = try ring(nil)
            let sealed = try plain.seal(Array("ann".utf8), of: "a")
            try plain.flush()
            let secret = try #require(try plain.share([sealed]).keys.first?.secret)
            #expect(!(try files(in: folder, holding: secret)).isEmpty)
            first.close()
            // Keys that lay there as they are get locked, and no byte of them stays.
            let (locked, second) = try ring(Self.secret)
            #expect(try open(sealed, locked) == "ann")
            #expect(try files(in: folder, holding: secret) == [])
            second.close()
            for (master, previous) in [(nil, nil), (Self.secret + "2", nil), (Self.secret + "2", Self.secret + "3")]
                as [(String?, String?)]
            {
                let error = #expect(throws: PersonalDataError.self) { _ = try ring(master, previous) }
                #expect(error?.code == .wrongMasterKey && error?.description.contains("privacy.key") == true)
            }
            let (changed, third) = try ring(Self.secret + "2", Self.secret)
            #expect(try open(sealed, changed) == "ann")
            third.close()
            #expect(throws: PersonalDataError(.wrongMasterKey, path)) { _ = try ring(Self.secret) }
            #expect(try open(sealed, try ring(Self.secret + "2").0) == "ann")
        }
    }

    @Test(
        "A store in memory knows of each subject whose data it keeps, as one on disk does",
        arguments: ["log", "tables", "views"])
    func knowsSubjectsInMemory(_ place: String) async throws {
        let store = try MemoryStore()
        try await PersonalData.$vault.withValue(store.keys) {
            if place == "log" {
                _ = try await store.log.publish([
                    EventDraft(type: "t", key: "k", source: "t", data: try JSON.encode(Personal("ann", of: "a")))
                ])
            } else {
                let database = place == "views" ? try store.views(module: "m") : store.log
                try await database.transaction { tables in
                    try tables.execute("CREATE TABLE people (name TEXT)")
                    try tables.execute("INSERT INTO people VALUES (\(Personal("ann", of: "a")))")
                }
            }
        }
        #expect(try store.keys.store.subjects(after: "", limit: 10).map(\.subject) == ["a"])
        #expect(try store.keys.store.status(of: "a")?.keys == 1)
    }

    @Test("Keys and their masters describe nothing of themselves")
    func describesNothing() throws {
        let ring = try KeyRing(MemoryKeyStore())
        let shared = try ring.share([try ring.seal([1], of: "a")])
        #expect("\(shared)" == "(1 keys)" && Mirror(reflecting: shared).children.isEmpty)
        #expect("\(MasterKey(secret: Self.secret))" == "(master key)")
        let key = SubjectKey(id: .v7(), subject: "a", secret: [1, 2, 3], createdAt: Date())
        #expect(Mirror(reflecting: key).children.isEmpty)
    }

    @Test("Many who meet a new subject at once get one key, and who flushes finds it durable")
    func agreesOnOneKey() async throws {
        try await withFolder { folder in
            let store = try SQLiteKeyStore(path: folder + "/keys")
            let ring = try KeyRing(store)
            let ids = try await withThrowingTaskGroup(of: [UniqueID].self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try (0..<50).map { number in
                            let sealed = try ring.seal([1], of: "s\(number)")
                            try ring.flush()
                            guard try store.key(sealed.key) != nil else { throw PersonalDataError(.keyMissing, "s") }
                            return sealed.key
                        }
                    }
                }
                var all: Set<[UniqueID]> = []
                for try await ids in group { all.insert(ids) }
                return all
            }
            #expect(ids.count == 1)
        }
    }
}
