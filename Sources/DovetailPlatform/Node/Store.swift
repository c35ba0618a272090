import DovetailEvents
import DovetailMemory
import DovetailSQLite

/// What a node keeps, whichever engine keeps it.
enum Store: Sendable {
    case sqlite(SQLiteStore)
    case memory(MemoryStore)

    static func open(_ configuration: PlatformConfiguration.Store, in folder: String) throws -> Store {
        switch configuration.engine {
        case .memory: return .memory(try MemoryStore())
        case .sqlite:
            var options = SQLiteStore.Options()
            options.durability = configuration.durability == .full ? .disk : .operatingSystem
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
