import DovetailCore
import Foundation

extension SagaProgress {
    /// The progress as JSON. What is usual is written without an encoder, since this is written at every step.
    var text: String {
        guard taken.isEmpty, locks.isEmpty, tasks.allSatisfy(\.isPlain), done.allSatisfy(\.isPlain) else {
            return (try? JSON.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
        }
        var text = "{\"tasks\":["
        for (index, task) in tasks.enumerated() {
            if index > 0 { text += "," }
            text += "{\"step\":\"\(task.step)\""
            if let dueAt = task.dueAt { text += ",\"due\":\(dueAt.microsecondsSince1970)" }
            text += "}"
        }
        text += "],\"done\":["
        for (index, step) in done.enumerated() { text += index > 0 ? ",\"\(step)\"" : "\"\(step)\"" }
        return text + "]}"
    }

    /// The progress that a text says. Throws ``JSONError``.
    init(text: String) throws {
        self = try JSON.decode(SagaProgress.self, from: Array(text.utf8))
    }
}

extension SagaTask {
    /// Whether it is a step that is about to be taken for the first time.
    fileprivate var isPlain: Bool {
        phase == .forward && attempts == 0 && !inDoubt && awaits == nil && !isArmed && !isStuck && step.isPlain
    }
}

extension String {
    /// Whether it is JSON as it is, between quotes.
    fileprivate var isPlain: Bool { utf8.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C } }
}
