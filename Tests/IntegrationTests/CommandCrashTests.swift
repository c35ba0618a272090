import Foundation
import Testing

/// A process with commands, snapshots and read models, killed at every write and sync.
extension IntegrationTests {
    @Suite struct CommandCrashes {
        @Test(
            "Commands killed at every write and every sync: each that was answered is there once, snapshots and read models say what the log says, and what was deleted for good stays so",
            .timeLimit(.minutes(5)),
            arguments: [
                (5, "log.db-wal", 4), (6, "log.db-wal", 1), (7, "log.db-wal", 1), (5, "log.db", 2),
                (5, "shop.db-wal", 3),
                (10, "log.db-wal", 1), (9, "log.db", 2),
            ])
        func killed(_ fault: Int, _ file: String, _ stride: Int) async throws {
            let folder = try TemporaryFolder()
            var answered: [String: Int] = [:]
            var deleted: Set<String> = []
            var findings: [String] = []
            func run(_ fault: Int, _ passes: Int) async throws -> Shell.Result {
                let result = try await Shell.run(
                    Checkout.program("crash-subject"), [folder.path, "\(fault)", file, "\(passes)", "disk", "commands"])
                for line in result.output.split(separator: "\n") {
                    let words = line.split(separator: " ").map(String.init)
                    guard words.count == 3, let number = Int(words[2]) else { continue }
                    switch words[0] {
                    case "a": answered[words[1]] = max(answered[words[1]] ?? 0, number)
                    case "d": deleted.insert(words[1])
                    case "!": findings.append(String(line))
                    default: break
                    }
                }
                return result
            }
            let killed = try await livesEnded(25, every: stride) { try await run(fault, $0) }
            let last = try await run(0, 0)
            #expect(last.status == 0, "\(last.all.suffix(2000))")
            #expect(killed >= 12, "it was killed \(killed) times")
            #expect(findings.isEmpty, "killed by \(fault) on \(file): \(findings.prefix(5))")
            var (shown, gone): ([String: Int], Set<String>) = ([:], [])
            for line in last.output.split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                guard words.count == 3, let number = Int(words[2]) else { continue }
                if words[0] == "s" { shown[words[1]] = number }
                if words[0] == "g" { gone.insert(words[1]) }
            }
            #expect(shown.count == 3 && shown.values.allSatisfy { $0 > 0 }, "\(shown)")
            for (id, number) in answered {
                #expect((shown[id] ?? 0) >= number, "\(id): \(number) was answered, and \(shown[id] ?? 0) are there")
            }
            #expect(!deleted.isEmpty && deleted.isSubset(of: gone), "\(deleted.subtracting(gone))")
        }
    }
}
