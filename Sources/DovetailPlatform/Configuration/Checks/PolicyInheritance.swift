/// Lays policies over those that they extend, before their values are read: a value that is inherited is read, checked
/// and told about where it stands in the file.
struct PolicyInheritance {
    private static let maximumDepth = 16

    private let policies: ConfigurationNode
    private let issues: IssueCollector
    private let path = ConfigurationPath.top.key("policies")

    /// The document with its policies merged.
    static func resolve(_ root: ConfigurationNode, issues: IssueCollector) -> ConfigurationNode {
        guard case .mapping(var entries) = root.content, let policies = root.entry("policies")?.value,
            case .mapping(var merged) = policies.content,
            let index = entries.firstIndex(where: { $0.key == "policies" })
        else { return root }
        let inheritance = PolicyInheritance(policies: policies, issues: issues)
        for policy in merged.indices {
            merged[policy].value = inheritance.resolve(merged[policy].value, chain: [merged[policy].key])
        }
        entries[index].value.content = .mapping(merged)
        return ConfigurationNode(content: .mapping(entries), position: root.position)
    }

    private func resolve(_ policy: ConfigurationNode, chain: [String]) -> ConfigurationNode {
        guard let extends = policy.entry("extends")?.value, case .scalar(let scalar) = extends.content,
            let name = chain.last
        else { return policy }
        let path = path.key(name).key("extends")
        guard let base = policies.entry(scalar.text) else {
            let names = policies.keys.filter { $0 != name }
            let suggestion = Spelling.nearest(to: scalar.text, among: names).map { "; did you mean '\($0)'?" } ?? ""
            issues.add("no policy is named \(extends.found)\(suggestion)", at: path, position: extends.position)
            return policy
        }
        guard !chain.contains(base.key) else {
            let circle = (chain.drop { $0 != base.key } + [base.key]).joined(separator: " → ")
            issues.add("policies extend each other in a circle: \(circle)", at: path, position: extends.position)
            return policy
        }
        guard chain.count < PolicyInheritance.maximumDepth else {
            let message = "policies extend each other over more than \(PolicyInheritance.maximumDepth) levels"
            issues.add(message, at: path, position: extends.position)
            return policy
        }
        return policy.merged(over: resolve(base.value, chain: chain + [base.key]))
    }
}
