import DovetailTesting
import Foundation
import Testing

/// A process killed at every write and sync of publishing, delivering, settling and checkpointing.
extension IntegrationTests {
    @Suite struct CrashMatrix {
        @Test(
            "Killed at every write and every sync: nothing acknowledged is lost, each key keeps its order, an effect is there once",
            .timeLimit(.minutes(5)),
            arguments: [
                (5, "log.db-wal", 3), (6, "log.db-wal", 1), (7, "log.db-wal", 1), (5, "log.db", 2),
                (5, "shop.db-wal", 2),
            ])
        func killedAtEveryStep(_ fault: Int, _ file: String, _ stride: Int) async throws {
            let lives = try await Lives(fault, file, stride)
            #expect(lives.killed >= 15, "it was killed \(lives.killed) times")
            #expect(lives.plain.acknowledgements > 100)
            #expect(lives.findings.isEmpty, "killed by \(fault) on \(file): \(lives.findings.prefix(5))")
        }

        @Test(
            "The power goes at every write and every sync, and with it all or half of what was not synced: the same holds",
            .timeLimit(.minutes(5)),
            arguments: [
                (9, "log.db-wal", 3), (10, "log.db-wal", 1), (11, "log.db-wal", 1), (9, "log.db", 2), (10, "log.db", 1),
                (9, "shop.db-wal", 2),
            ])
        func withoutPower(_ fault: Int, _ file: String, _ stride: Int) async throws {
            let lives = try await Lives(fault, file, stride)
            #expect(lives.killed >= 15, "the power went \(lives.killed) times")
            #expect(lives.plain.acknowledgements > 100)
            #expect(lives.findings.isEmpty, "without power at \(fault) on \(file): \(lives.findings.prefix(5))")
        }

        /// What makes the test above one that can fail: who does not wait for the disk does lose events.
        @Test("What is promised to survive the process only does not survive the power", .timeLimit(.minutes(5)))
        func withoutPowerAndWithoutSync() async throws {
            // Whether something was acknowledged in the moment before is a matter of chance: one of several times has to show it.
            var findings: [String] = []
            for _ in 0..<10 where !findings.contains(where: { $0.contains("was acknowledged and never came") }) {
                findings += try await Lives(9, "log.db-wal", 40, durability: "os", rounds: 3).findings
            }
            #expect(findings.contains { $0.contains("was acknowledged and never came") }, "\(findings)")
        }
    }
}

extension IntegrationTests.CrashMatrix {
    @Test(
        "An event that ends the process is found out and given up on; the others are handled", .timeLimit(.minutes(1)))
    func poison() async throws {
        let folder = try TemporaryFolder()
        var output = ""
        var lives = 0
        while lives < 12 {
            lives += 1
            let result = try await Shell.run(Checkout.program("crash-subject"), [folder.path, "poison"])
            output += result.output
            if result.status == 0 { break }
            #expect(result.status == 9, "\(result.all)")
        }
        #expect((4...8).contains(lives), "\(lives) lives")
        #expect(output.contains("dead k4 crashed"))
        let handled = Set(output.split(separator: "\n").filter { $0.hasPrefix("h ") })
        #expect(handled == Set((1...10).filter { $0 != 4 }.map { "h k\($0)" }))
    }
}

/// What the subject has said in its lives, each ended by a fault one step later than the one before, from the first step on again where a life has fewer steps, and in a last one that nothing ended.
private struct Lives {
    var killed = 0
    let plain = DeliveryHistory()
    private(set) var findings: [String] = []
    private let failing = DeliveryHistory()
    private let effects = DeliveryHistory()

    init(_ fault: Int, _ file: String, _ stride: Int, durability: String = "disk", rounds: Int = 30) async throws {
        let folder = try TemporaryFolder()
        killed = try await livesEnded(rounds, every: stride) { passes in
            let result = try await Shell.run(
                Checkout.program("crash-subject"), [folder.path, "\(fault)", file, "\(passes)", durability])
            note(result.output)
            return result
        }
        let last = try await Shell.run(
            Checkout.program("crash-subject"), [folder.path, "0", "", "0", durability])
        #expect(last.status == 0, "\(last.all.suffix(2000))")
        note(last.output)
        for line in last.output.split(separator: "\n") where line.hasPrefix("! ") { findings.append(String(line)) }
        findings += plain.findings(.atLeastOnce).map { "plain: \($0)" }
        findings += failing.findings(.atLeastOnce).map { "failing: \($0)" }
        findings += effects.findings(.effectivelyOnce).map { "effects: \($0)" }
    }

    private func note(_ output: String) {
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let number = Int(words[2]) else { continue }
            let event = DeliveryHistory.Event(String(words[1]), number)
            switch words[0] {
            case "t": for history in [plain, failing, effects] { history.attempting(event) }
            case "a": for history in [plain, failing, effects] { history.acknowledged(event) }
            case "h": plain.delivered(event)
            case "f": failing.delivered(event)
            case "e": effects.delivered(event)
            default: break
            }
        }
    }
}
