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
            let folder = try TemporaryFolder()
            let published = Published()
            let (plain, failing, effects) = (DeliveryHistory(), DeliveryHistory(), DeliveryHistory())
            var killed = 0
            var passes = 0
            for _ in 0..<30 {
                let result = try await Shell.run(
                    Checkout.program("crash-subject"), [folder.path, "\(fault)", file, "\(passes)"])
                published.note(result.output, in: [plain, failing, effects])
                #expect(result.status == 9 || result.status == 0, "\(result.all.suffix(2000))")
                if result.status == 9 { killed += 1 }
                passes += stride
            }
            #expect(killed >= 10, "it was killed \(killed) times")
            let result = try await Shell.run(Checkout.program("crash-subject"), [folder.path, "0", "", "0"])
            #expect(result.status == 0, "\(result.all.suffix(2000))")
            published.note(result.output, in: [plain, failing, effects])
            #expect(!result.output.contains("! "), "the log is whole: \(result.output)")
            for (name, history) in [("plain", plain), ("failing", failing)] {
                let findings = history.findings(.atLeastOnce)
                #expect(findings.isEmpty, "\(name), killed by \(fault) on \(file): \(findings.prefix(5))")
            }
            let findings = effects.findings(.effectivelyOnce)
            #expect(findings.isEmpty, "effects, killed by \(fault) on \(file): \(findings.prefix(5))")
            #expect(plain.acknowledgements > 100)
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

/// What the subject has said, taken into histories.
private struct Published {
    func note(_ output: String, in histories: [DeliveryHistory]) {
        let (plain, failing, effects) = (histories[0], histories[1], histories[2])
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, let number = Int(words[2]) else { continue }
            let event = DeliveryHistory.Event(String(words[1]), number)
            switch words[0] {
            case "t": for history in histories { history.attempting(event) }
            case "a": for history in histories { history.acknowledged(event) }
            case "h": plain.delivered(event)
            case "f": failing.delivered(event)
            case "e": effects.delivered(event)
            default: break
            }
        }
    }
}
