import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailPrivacy
import DovetailSQLite

/// What a node keeps, whichever engine keeps it.
enum Store: Sendable {
    case sqlite(SQLiteStore)
    case memory(MemoryStore)

    /// Opens the store; waits up to `patience` while another process has it.
    static func open(
        _ configuration: PlatformConfiguration.Store, privacy: PlatformConfiguration.Privacy, in folder: String,
        patience: Duration
    ) async throws -> Store {
        let deadline = MonotonicTime.now + patience
        while true {
            do { return try open(configuration, privacy, in: folder) } catch let error as LogError
                where error.code == .locked && MonotonicTime.now < deadline
            {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private static func open(
        _ configuration: PlatformConfiguration.Store, _ privacy: PlatformConfiguration.Privacy, in folder: String
    ) throws -> Store {
        switch configuration.engine {
        case .memory: return .memory(try MemoryStore())
        case .sqlite:
            var options = SQLiteStore.Options()
            options.durability = configuration.durability == .full ? .disk : .operatingSystem
            options.masterKey = privacy.masterKey
            options.previousMasterKeys = [privacy.previousMasterKey].compactMap { $0 }
            return .sqlite(
                try SQLiteStore.open(resolve(configuration.path ?? "data/main.db", in: folder), options: options))
        }
    }

    var log: any EventLog {
        switch self {
        case .sqlite(let store): store.log
        case .memory(let store): store.log
        }
    }

    /// The keys of personal data.
    var keys: KeyRing {
        switch self {
        case .sqlite(let store): store.keys
        case .memory(let store): store.keys
        }
    }

    /// How long the log's commits take; nil in memory.
    var times: StoreTimes? {
        if case .sqlite(let store) = self { store.times } else { nil }
    }

    func views(module: String) throws -> any Database {
        switch self {
        case .sqlite(let store): try store.views(module: module)
        case .memory(let store): try store.views(module: module)
        }
    }

    func close() async {
        switch self {
        case .sqlite(let store): await store.close()
        case .memory(let store): await store.close()
        }
    }
}

/// A path of the configuration: relative ones start in the working folder.
func resolve(_ path: String, in folder: String) -> String {
    path.hasPrefix("/") ? path : "\(folder)/\(path)"
}
