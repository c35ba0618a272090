/// What a change of a saga's definition means to an instance under way: whether a step would be done again or never, what it waits for would never come, or the point of no return has moved over it.
///
/// Pure; what it knows of an instance is its progress, and the definition that it has gone by.
struct SagaPlanChange {
    /// Nil: it is not known. Then only what can be seen of the instance itself is compared.
    let old: SagaDescription?
    let new: SagaDescription

    init(from old: SagaDescription?, to new: SagaDescription) {
        self.old = old
        self.new = new
    }

    /// What breaks, and what to do; nil if nothing does.
    func breakage(of progress: SagaProgress) -> String? {
        for task in progress.tasks {
            if let reason = brokenWait(task) ?? otherKind(task.step, "is at") { return reason }
        }
        for step in progress.done {
            if let reason = otherKind(step, "has done") { return reason }
        }
        let steps = progress.tasks.filter { $0.phase == .forward }.map(\.step)
        guard let old, !steps.isEmpty, let before = old.reached(at: steps) else { return nil }
        guard let after = new.reached(at: steps) else {
            return
                "it is at \(list(steps)) at once, which do not stand beside each other any more; bring their stage back"
        }
        if let step = before.passed.first(where: after.ahead.contains) {
            return "it has done '\(step)', which comes later now: it would be done again; leave it before '\(steps[0])'"
        }
        if let step = before.ahead.first(where: after.passed.contains) {
            return
                "it has yet to do '\(step)', which comes before now: it would never be done; leave it behind '\(steps[0])'"
        }
        let known = Set(old.steps.map(\.name))
        if let step = after.beside.first(where: { !known.contains($0) }) {
            return
                "'\(step)' begins a way beside \(list(steps)), where it is already: it would never be done; put it into a later stage"
        }
        for step in steps {
            guard let was = old.step(step), let now = new.step(step), was.isAfterPivot != now.isAfterPivot else {
                continue
            }
            return now.isAfterPivot
                ? "it is at '\(step)', which is behind the pivot now: it could not turn back any more; leave the pivot behind the step"
                : "it is at '\(step)', which is before the pivot now: it could turn back from behind its own; leave the pivot before the step"
        }
        return nil
    }

    /// Whether what a task waits for is not what its step waits for now.
    private func brokenWait(_ task: SagaTask) -> String? {
        guard task.isArmed, task.phase != .undo, let now = new.step(task.step) else { return nil }
        let wanted = now.topic
        if let topic = task.awaits?.topic, topic != wanted {
            let then = wanted.map { "waits for \($0) now" } ?? "waits for nothing now"
            return
                "it is at '\(task.step)' and waits for \(topic), and the step \(then): that would not come; give the new wait another name"
        }
        if now.kind == .child, let was = old?.step(task.step), was.kind == .child, was.of != now.of {
            return
                "it is at '\(task.step)' and runs the saga \(was.of ?? ""), and the step runs \(now.of ?? "") now; give the new step another name"
        }
        return nil
    }

    private func otherKind(_ step: String, _ place: String) -> String? {
        guard let was = old?.step(step)?.kind, let now = new.step(step)?.kind, was != now else { return nil }
        return "it \(place) '\(step)', which was \(was.words) and is \(now.words) now; give the new step another name"
    }

    private func list(_ steps: [String]) -> String { steps.map { "'\($0)'" }.joined(separator: " and ") }
}

extension SagaDescription {
    /// Where an instance is: the steps that are behind it, those that it has yet to come to, and the first ones of ways beside it that it is at the end of, or was never at.
    struct Reached {
        var passed: [String] = []
        var ahead: [String] = []
        var beside: [String] = []
    }

    /// What is behind and ahead of an instance that is at these steps; nil if it cannot be at all of them at once.
    func reached(at steps: [String]) -> Reached? {
        let stage = stages.firstIndex { $0.contains { $0.contains { $0 == steps.first } } }
        guard let stage else { return nil }
        var reached = Reached()
        reached.passed = stages[..<stage].flatMap { $0.flatMap { $0 } }
        reached.ahead = stages[(stage + 1)...].flatMap { $0.flatMap { $0 } }
        var found = 0
        for branch in stages[stage] {
            let places = branch.indices.filter { steps.contains(branch[$0]) }
            guard places.count <= 1 else { return nil }
            if let place = places.first {
                reached.passed += branch[..<place]
                reached.ahead += branch[(place + 1)...]
                found += 1
            } else {
                reached.passed += branch
                reached.beside += branch
            }
        }
        return found == steps.count ? reached : nil
    }

    fileprivate func step(_ name: String) -> Step? { steps.first { $0.name == name } }
}

extension SagaDescription.Step {
    /// The topic of what an instance at the step waits for; nil for a step that waits for no message.
    fileprivate var topic: String? {
        switch kind {
        case .event: of
        case .decision: SagaMessage.signal(name)
        case .child: SagaMessage.child
        case .lock: SagaMessage.lock(of ?? "")
        case .action, .pause, .release: nil
        }
    }
}

extension SagaDescription.Step.Kind {
    fileprivate var words: String {
        switch self {
        case .action: "a call"
        case .pause: "a pause"
        case .event: "a wait for an event"
        case .decision: "a decision"
        case .child: "a child"
        case .lock: "a lock"
        case .release: "a release"
        }
    }
}
