import DovetailEvents
import DovetailSQLite
import Foundation

/// Ten events of ten keys, of which the handler of one ends the process. Says `h` for each that is handled; ends when the others are, and the one is given up on.
enum Poison {
    static func main(_ folder: String) async throws {
        let store = try SQLiteStore.open(folder + "/log.db", options: .init(ballastBytes: 4096))
        if store.log.head == 0 {
            _ = try await store.log.publish(
                (1...10).map { EventDraft(type: "a", key: "k\($0)", source: "t", data: Array("\($0)".utf8)) })
        }
        let bus = EventBus(
            log: store.log,
            subscriptions: [
                Subscription(
                    "s", to: ["a"],
                    handler: .atLeastOnce { event, _ in
                        try await Task.sleep(for: .milliseconds(5))
                        if event.key == "k4" { raise(SIGKILL) }
                        let line = Array("h \(event.key)\n".utf8)
                        _ = line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
                    })
            ])
        let running = Task { try await bus.run() }
        while true {
            let status = try await bus.subscriptions()[0]
            if status.lag == 0, let letter = try await bus.deadLetters(of: "s").first {
                print("dead", letter.eventKey, letter.reason.rawValue)
                break
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        running.cancel()
        _ = await running.result
        await store.close()
    }
}
