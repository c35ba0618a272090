extension SagaDescription {
    /// The saga as a Mermaid flowchart: forward from top to bottom, undos beside their steps, the pivot as a line across.
    public var mermaid: String {
        var lines = ["flowchart TD"]
        let ids = Dictionary(steps.enumerated().map { ($1.name, "s\($0)") }) { first, _ in first }
        lines.append("    start([\(quoted(startedBy ?? "started by another saga"))])")
        for (index, step) in steps.enumerated() { lines.append("    s\(index)\(shape(step))") }
        for (index, step) in steps.enumerated() where step.canBeUndone {
            lines.append("    u\(index)[/\(quoted("undo \(step.name)"))/]")
            lines.append("    s\(index) -. undo .-> u\(index)")
        }
        var open = ["start"]
        var hasPivot = false
        for (number, branches) in stages.enumerated() {
            let first = branches.compactMap { $0.first.flatMap { ids[$0] } }
            let isBehind = branches.flatMap { $0 }.contains { name in
                steps.contains { $0.name == name && $0.isAfterPivot }
            }
            if isBehind, !hasPivot {
                hasPivot = true
                lines.append("    pivot{{\(quoted("pivot"))}}")
                lines += open.map { "    \($0) --> pivot" }
                open = ["pivot"]
            }
            if branches.count > 1 {
                lines.append("    fork\(number){{\(quoted("all of"))}}")
                lines += open.map { "    \($0) --> fork\(number)" }
                open = ["fork\(number)"]
            }
            for before in open { lines += first.map { "    \(before) --> \($0)" } }
            for branch in branches {
                for (from, to) in zip(branch, branch.dropFirst()) {
                    if let from = ids[from], let to = ids[to] { lines.append("    \(from) --> \(to)") }
                }
            }
            open = branches.compactMap { $0.last.flatMap { ids[$0] } }
        }
        lines.append("    completed([\(quoted("completed"))])")
        lines += open.map { "    \($0) --> completed" }
        let undos = steps.indices.filter { steps[$0].canBeUndone }.map { "u\($0)" }
        if !undos.isEmpty || concludes {
            lines.append("    compensated([\(quoted(concludes ? "compensated, and told" : "compensated"))])")
            for (from, to) in zip(undos.dropFirst(), undos) { lines.append("    \(from) --> \(to)") }
            if let first = undos.first { lines.append("    \(first) --> compensated") }
        }
        return lines.joined(separator: "\n")
    }

    private func shape(_ step: Step) -> String {
        switch step.kind {
        case .action: "[\(quoted(step.name))]"
        case .pause: "(\(quoted("⏱ \(step.name)")))"
        case .event: ">\(quoted("\(step.name): \(step.of ?? "")"))]"
        case .decision: "{\(quoted("\(step.name)?"))}"
        case .child: "[[\(quoted("\(step.name): saga \(step.of ?? "")"))]]"
        case .lock: "[/\(quoted("🔒 \(step.name): \(step.of ?? "")"))\\]"
        case .release: "[\\\(quoted("🔓 \(step.of ?? "")"))/]"
        }
    }

    /// A label, in which a quote would end it.
    private func quoted(_ text: String) -> String {
        "\"" + text.replacing("\"", with: "#quot;") + "\""
    }
}
