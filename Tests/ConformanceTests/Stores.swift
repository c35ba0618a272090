import DovetailEvents
import DovetailMemory
import DovetailSQLite
import DovetailTesting
import Foundation

/// A folder that is removed when it is no longer used.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("dovetail-\(UUID().uuidString)").path
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

/// Runs `body` on a store in memory.
func withMemoryStore(_ body: (StoreUnderTest) async throws -> Void) async throws {
    let store = try MemoryStore()
    try await body(StoreUnderTest(log: store.log) { try store.views(module: $0) })
    await store.close()
}

/// Runs `body` on a store on disk.
func withSQLiteStore(
    durability: Durability = .operatingSystem, _ body: (StoreUnderTest) async throws -> Void
) async throws {
    let folder = TemporaryFolder()
    let options = SQLiteStore.Options(durability: durability, ballastBytes: 4096)
    let store = try SQLiteStore.open(folder.path + "/log.db", options: options)
    do {
        try await body(StoreUnderTest(log: store.log) { try store.views(module: $0) })
    } catch {
        await store.close()
        throw error
    }
    await store.close()
}
