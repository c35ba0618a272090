import DovetailEvents
import DovetailMemory
import DovetailSQLite
import Foundation

/// Runs `body` with a log of each engine.
func withLogs(_ body: (any EventLog) async throws -> Void) async throws {
    try await body(try MemoryStore().log)
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("logs-\(UUID())").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let options = SQLiteStore.Options(durability: .operatingSystem, ballastBytes: 4096)
    let store = try SQLiteStore.open(folder + "/log.db", options: options)
    try await body(store.log)
    await store.close()
}
