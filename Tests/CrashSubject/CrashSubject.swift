import DovetailCore
import DovetailEvents
import DovetailSQLite
import Foundation
import SQLiteBinding
import Synchronization

/// A program that publishes and handles events until it is killed, and says each thing as it happens: `crash-subject FOLDER FAULT FILE PASSES DURABILITY`.
///
/// A line is one letter, a key and a number: `t` about to be published, `a` acknowledged, `h` handled (at least once), `f` handled after failures, `e` an effect that is there.
/// Without a fault it drains everything and ends.
@main
struct CrashSubject {
    static let keys = 4
    static let perRun = 8

    static func main() async throws {
        let arguments = CommandLine.arguments
        let folder = arguments[1]
        if arguments[2] == "poison" { return try await Poison.main(folder) }
        let fault = Int32(arguments[2]).flatMap { DiskWatch.Fault(rawValue: $0) }
        if let fault { DiskWatch.fail(fault, on: arguments[3], after: Int(arguments[4]) ?? 0) }

        if arguments.count > 6, arguments[6] == "sagas" { return try await Sagas.main(folder, isLast: fault == nil) }
        if arguments.count > 6, arguments[6] == "commands" {
            return try await Commands.main(folder, isLast: fault == nil)
        }
        let durability = Durability(rawValue: arguments[5]) ?? .disk
        let store = try SQLiteStore.open(
            folder + "/log.db", options: .init(durability: durability, checkpointPages: 40, ballastBytes: 4096))
        let views = try store.views(module: "shop")
        try await views.migrate(
            Migrations(owner: "shop", steps: ["CREATE TABLE effects (key TEXT NOT NULL, number BIGINT NOT NULL)"]))
        let failed = Mutex<Set<Int64>>([])
        let bus = EventBus(
            log: store.log,
            subscriptions: [
                Subscription("plain", to: ["thing.*"], handler: .atLeastOnce { event, _ in say("h", event) }),
                Subscription(
                    "failing", to: ["thing.*"],
                    redelivery: RedeliveryPolicy(
                        immediate: 0, delayed: 100, baseDelay: .milliseconds(5), maximumDelay: .milliseconds(10)),
                    handler: .atLeastOnce { event, _ in
                        // Every third event fails once in each life of the process.
                        let number = event.position.number
                        if number % 3 == 0, failed.withLock({ $0.insert(number).inserted }) { throw Failure() }
                        say("f", event)
                    }),
                Subscription(
                    "effects", to: ["thing.*"],
                    handler: .effectivelyOnce(in: views) { event, transaction in
                        try transaction.execute(
                            "INSERT INTO effects VALUES (\(event.key), \(Int(String(decoding: event.data, as: UTF8.self)) ?? 0))"
                        )
                    }),
            ])
        let running = Task { try await bus.run() }
        let known = try await numbers(store.log)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in 0..<keys {
                let name = "k\(key)"
                let first = (known[name] ?? 0) + 1
                group.addTask {
                    for number in first..<(first + (fault == nil ? 1 : perRun)) {
                        let draft = EventDraft(
                            type: "thing.happened", key: name, source: "t", data: Array("\(number)".utf8))
                        say("t", name, number)
                        _ = try await store.log.publish([draft])
                        say("a", name, number)
                    }
                }
            }
            try await group.waitForAll()
        }
        // Until all is settled, and what was settled is written.
        while try await bus.subscriptions().contains(where: { $0.lag > 0 || $0.blockedKeys > 0 || $0.deadLetters > 0 })
        {
            // Who was being tried whenever the process was killed is suspected of it, and given up on: wrongly, here.
            for name in ["plain", "failing"] { _ = try? await bus.redrive(name, DeadLetterChoice(reason: .crashed)) }
            try await Task.sleep(for: .milliseconds(5))
        }
        running.cancel()
        _ = await running.result
        let verification = try await store.log.verify { _ in }
        for finding in verification.findings { say("!", "\(finding)", 0) }
        if fault == nil {
            struct Effect: Decodable { var key: String, number: Int }
            for effect in try await views.snapshot({ try $0.rows(Effect.self, "SELECT * FROM effects ORDER BY rowid") })
            {
                say("e", effect.key, effect.number)
            }
        }
        await store.close()
    }

    struct Failure: Error {}

    /// The last number of each key in the log.
    private static func numbers(_ log: any EventLog) async throws -> [String: Int] {
        var numbers: [String: Int] = [:]
        var scanned: Int64 = 0
        while scanned < log.head {
            let page = try await log.events(after: scanned, types: ["thing.happened"], limit: 1000)
            for event in page.events { numbers[event.key] = Int(String(decoding: event.data, as: UTF8.self)) }
            scanned = page.scanned
        }
        return numbers
    }

    private static func say(_ what: String, _ event: StoredEvent) {
        say(what, event.key, Int(String(decoding: event.data, as: UTF8.self)) ?? 0)
    }

    /// One write, so that a line is there whole or not at all.
    private static func say(_ what: String, _ key: String, _ number: Int) {
        let line = Array("\(what) \(key) \(number)\n".utf8)
        _ = line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }
}
