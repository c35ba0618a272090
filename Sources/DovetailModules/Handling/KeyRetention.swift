import DovetailCQRS
import DovetailCore
import DovetailEvents
import Foundation
import Logging
import ServiceLifecycle

/// Forgets idempotency keys that are older than their callers' retries: the answers that `once` keeps, and commands that have led to no event. In small steps, beside the work.
///
/// A key whose command has led to events stays known, since the log remembers those.
package final class KeyRetention: Service {
    private let answers: Answers
    private let commands: CommandExecutor
    private let keep: Duration
    private let interval: Duration

    /// Keys of a log are kept for `keep`; it is looked every `interval` whether some are older.
    package init(log: any EventLog, commands: CommandExecutor, keep: Duration, interval: Duration = .seconds(600)) {
        answers = Answers(log: log)
        self.commands = commands
        self.keep = keep
        self.interval = interval
    }

    /// Runs round after round until the task is cancelled. A round that fails is told in the log of the process and tried again.
    package func run() async throws {
        while !Task.isCancelled {
            do { try await runOnce() } catch is CancellationError { return } catch {
                Logger(label: "dovetail.modules").warning(
                    "idempotency keys that are old could not be forgotten", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }

    /// Forgets what is too old by now; returns how many keys.
    @discardableResult
    package func runOnce(now: Date = Date()) async throws -> Int {
        let date = now.addingTimeInterval(-keep.inSeconds)
        return try await answers.forget(before: date) + commands.forgetKeys(before: date)
    }
}
