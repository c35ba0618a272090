import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailPrivacy
import DovetailSQLite
import DovetailSagas
import Foundation
import Testing

/// What customers tell of themselves, as the tests keep it.
struct Registered: Wire, Equatable {
    var id: String
    var email: Personal<String>
    var phone: Personal<String>?
    var note: String?
}

/// The state of a customer, with snapshots.
struct Customer: Wire, Equatable {
    var email: Personal<String>?
    var changes = 0

    static let registered = Event("customer.registered", Registered.self, key: \.id)
    static let aggregate = Aggregate("customer", Customer())
        .apply(registered) { customer, registered in
            customer.email = registered.email
            customer.changes += 1
        }
        .snapshots(.every(2))
}

/// A saga that remembers what is personal while it waits.
struct Welcome: Wire {
    var email: Personal<String>
    var greeted: Personal<String>?
    var approved: Bool?

    static let saga = Saga("welcome", startedBy: Customer.registered) { Welcome(email: $0.email) }
        .step("draft", into: \.greeted) { state, _ in state.email.map { "dear \($0)" } }
        .pause("a month", for: .seconds(30 * 86_400))
        .step("greet") { _, _ in }
}

/// A read model of addresses.
let directory = Projection(
    "directory", version: 1, tables: "CREATE TABLE directory (id TEXT PRIMARY KEY, email TEXT, phone TEXT)"
)
.on(Customer.registered) { registered, tables in
    try tables.execute(
        """
        INSERT INTO directory (id, email, phone) VALUES (\(registered.id), \(registered.email), \(registered.phone))
        ON CONFLICT (id) DO UPDATE SET email = excluded.email, phone = excluded.phone
        """)
}

/// A line of it.
struct Listed: Decodable, Equatable, Sendable {
    var id: String
    var email: Personal<String>
    var phone: Personal<String>?
}

/// A store on disk with customers in it, as a node has it.
struct TestNode: Sendable {
    let folder: String
    let store: SQLiteStore
    let privacy: Privacy
    let commands: CommandExecutor
    let readModel: ReadModel
    private let projecting: Task<Void, any Error>

    var path: String { folder + "/main.db" }
    var keyPath: String { path + ".keys" }

    /// Opens the store in a folder, which is made if it is not there.
    init(_ folder: String, master: String? = nil, previous: String? = nil) async throws {
        self.folder = folder
        var options = SQLiteStore.Options(ballastBytes: 0)
        options.masterKey = master.map { MasterKey(secret: $0) }
        options.previousMasterKeys = [previous].compactMap { $0 }.map { MasterKey(secret: $0) }
        store = try SQLiteStore.open(folder + "/main.db", options: options)
        privacy = Privacy(store.keys, log: store.log)
        commands = CommandExecutor(log: store.log)
        readModel = ReadModel([directory], from: store.log, in: try store.views(module: "customers"))
        let commands = commands
        store.keys.onForgetting { _ in commands.dropStates() }
        do {
            try await privacy.prepare()
            let readModel = readModel
            projecting = try await PersonalData.$vault.withValue(store.keys) {
                try await readModel.prepare()
                return Task { try await readModel.run() }
            }
        } catch {
            await store.close()
            throw error
        }
    }

    /// Runs `body` where personal values are sealed and opened with the store's keys.
    func withKeys<Value: Sendable>(_ body: () async throws -> Value) async rethrows -> Value {
        try await PersonalData.$vault.withValue(store.keys, operation: body)
    }

    func close() async {
        projecting.cancel()
        try? await projecting.value
        await store.close()
    }

    func register(_ id: String, _ email: String, phone: String? = nil) async throws {
        try await withKeys {
            _ = try await commands.execute(Customer.aggregate, id, source: "customers", context: nil) { _ in
                [
                    Customer.registered(
                        .init(id: id, email: Personal(email, of: id), phone: phone.map { Personal($0, of: id) }))
                ]
            }
        }
    }

    /// The keys of what the log holds, as they are in memory.
    func secrets() async throws -> [[UInt8]] {
        let events = try await store.log.events(after: 0, types: nil, limit: 100).events
        return try store.keys.share(events.flatMap { SealedText.found(in: $0.data).map(\.sealed) }).keys.map(\.secret)
    }

    func customer(_ id: String) async throws -> Customer {
        try await withKeys { try await commands.state(Customer.aggregate, id).0 }
    }

    /// The read model when it has seen everything.
    func listed() async throws -> [Listed] {
        try await withKeys {
            try await readModel.query(after: store.log.position(store.log.head)) {
                try $0.rows(Listed.self, "SELECT * FROM directory ORDER BY id")
            }
        }
    }
}

/// Runs `body` with a folder that is there for as long.
func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("privacy-\(UniqueID.v7())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

/// The files below a folder that hold these bytes, as they are, as hexadecimal or in base64.
func files(in folder: String, holding bytes: some Sequence<UInt8>) throws -> [String] {
    let plain = Data(bytes)
    let forms = [plain, Data(plain.map { String(format: "%02x", $0) }.joined().utf8), plain.base64EncodedData()]
    let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
    return try names.filter { name in
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder), !isFolder.boolValue
        else { return false }
        let content = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
        return forms.contains { content.range(of: $0) != nil }
    }.sorted()
}

func files(in folder: String, holding text: String) throws -> [String] { try files(in: folder, holding: text.utf8) }
