import DovetailCore

/// What a look at a platform has found: the checklist, what calls cost at worst, and what is wrong.
struct CheckReport: Sendable, Encodable {
    /// A line of the checklist.
    struct Item: Sendable, Encodable {
        enum Mark: String, Sendable, Encodable {
            /// It is there.
            case present
            /// Some of it is missing.
            case missing
            /// It cannot be seen in a program and its configuration.
            case unseen
        }

        var name: String
        var mark: Mark
        /// What is there.
        var present: [String] = []
        /// What is missing, and where.
        var missing: [String] = []
    }

    /// A part of the checklist.
    struct Phase: Sendable, Encodable {
        var name: String
        var items: [Item]
    }

    /// What one route or callee costs at worst.
    struct WorstCase: Sendable, Encodable {
        var what: String
        var cost: String
    }

    /// Something that is wrong, or may go wrong.
    struct Finding: Sendable, Encodable {
        enum Severity: String, Sendable, Encodable { case error, warning }

        var severity: Severity
        var place: String
        var message: String
    }

    var platform: String
    var phases: [Phase]
    var worstCases: [WorstCase]
    var findings: [Finding]

    /// Whether something would not work.
    var hasErrors: Bool { findings.contains { $0.severity == .error } }
}

extension CheckReport {
    /// The report for a person.
    var text: String {
        var lines = [platform]
        for phase in phases {
            lines += ["", phase.name]
            for item in phase.items {
                lines.append("  \(item.mark.box) \(item.name)")
                lines += item.present.map { "        \($0)" }
                lines += item.missing.map { "      ! \($0)" }
            }
        }
        if !worstCases.isEmpty {
            lines += ["", "At worst"]
            let width = worstCases.map(\.what.count).max() ?? 0
            lines += worstCases.map {
                "  \($0.what)\(String(repeating: " ", count: width - $0.what.count))  \($0.cost)"
            }
        }
        lines.append("")
        lines += findings.map { "\($0.severity.rawValue): \($0.place): \($0.message)" }
        let errors = findings.count { $0.severity == .error }
        lines.append("\(errors) errors, \(findings.count - errors) warnings")
        return lines.joined(separator: "\n")
    }
}

extension CheckReport.Item.Mark {
    fileprivate var box: String {
        switch self {
        case .present: "[x]"
        case .missing: "[ ]"
        case .unseen: "[-]"
        }
    }
}
