import Foundation
import Testing

/// A process with sagas that branch, lock, wait and have children, killed at every write and sync.
extension IntegrationTests {
    @Suite struct SagaCrashes {
        @Test(
            "Sagas killed at every write and every sync: each ends, a call has one key in all lives, and what was done is undone if it has to be",
            .timeLimit(.minutes(5)),
            arguments: [(5, "log.db-wal", 4), (6, "log.db-wal", 2), (7, "log.db-wal", 2), (9, "log.db-wal", 5)])
        func killed(_ fault: Int, _ file: String, _ stride: Int) async throws {
            let folder = try TemporaryFolder()
            var calls: [String: Set<String>] = [:]
            func run(_ fault: Int, _ passes: Int) async throws -> Shell.Result {
                let result = try await Shell.run(
                    Checkout.program("crash-subject"), [folder.path, "\(fault)", file, "\(passes)", "disk", "sagas"])
                for line in result.output.split(separator: "\n") where line.hasPrefix("c ") {
                    // `instance/step`: what was called, for which instance.
                    let key = line.split(separator: " ")[1].split(separator: "/")
                    calls[String(key[0]), default: []].insert(String(key[1]))
                }
                return result
            }
            let killed = try await livesEnded(25, every: stride) { try await run(fault, $0) }
            let last = try await run(0, 0)
            #expect(last.status == 0, "\(last.all.suffix(2000))")
            #expect(killed >= 12, "it was killed \(killed) times")
            let ends = last.output.split(separator: "\n").filter { $0.hasPrefix("z ") }.map { $0.split(separator: " ") }
            #expect(ends.count > 20)
            for end in ends {
                let done = calls[String(end[1])] ?? []
                switch end[2] {
                case "completed":
                    #expect(done == ["flight", "hotel", "charge"], "\(end[1]): \(done)")
                case "compensated":
                    #expect(
                        done == [
                            "flight", "hotel", "undo_insurance", "undo_flight", "undo_hotel", "compensated",
                        ], "\(end[1]): \(done)")
                default: Issue.record("\(end)")
                }
            }
            #expect(Set(ends.map { $0[2] }) == ["completed", "compensated"])
            let children = last.output.split(separator: "\n").filter { $0.hasPrefix("y ") }.map {
                $0.split(separator: " ")
            }
            #expect(children.count == ends.count && Set(children.map { $0[2] }) == ["completed"])
            for child in children { #expect(calls[String(child[1])] == ["insure"]) }
            #expect(!last.output.contains("\nl "), "somebody still holds a seat, or wants one")
        }
    }
}
