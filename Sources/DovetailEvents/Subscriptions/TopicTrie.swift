/// Values by topic pattern: finds all whose patterns match a topic, in time that depends on the topic's words and not on the number of patterns.
struct TopicTrie<Value: Hashable & Sendable>: Sendable {
    private struct Node: Sendable {
        var literals: [Substring: Int] = [:]
        var one: Int?
        var any: Int?
        var values: [Value] = []
        /// Whether the node stands for a `#`, which takes further words.
        var takesMore = false
    }

    private var nodes = [Node()]

    /// Adds a value; the same value may have several patterns.
    mutating func insert(_ value: Value, for pattern: TopicPattern) {
        var node = 0
        for word in pattern.words { node = child(of: node, word) }
        nodes[node].values.append(value)
    }

    private mutating func child(of node: Int, _ word: TopicPattern.Word) -> Int {
        let known: Int? =
            switch word {
            case .literal(let text): nodes[node].literals[text]
            case .one: nodes[node].one
            case .any: nodes[node].any
            }
        if let known { return known }
        nodes.append(Node(takesMore: word == .any))
        let new = nodes.count - 1
        switch word {
        case .literal(let text): nodes[node].literals[text] = new
        case .one: nodes[node].one = new
        case .any: nodes[node].any = new
        }
        return new
    }

    /// The values whose patterns match, each once.
    func values(matching topic: String) -> Set<Value> {
        let words = TopicPattern.split(topic)
        // All nodes that the words so far lead to. A set, so that `#.#.#` costs no more than its length.
        var reached: Set<Int> = [0]
        let isOwn = words.first?.hasPrefix("$") ?? false
        if !isOwn { expand(&reached) }
        for (index, word) in words.enumerated() {
            var next: Set<Int> = []
            for node in reached {
                if let literal = nodes[node].literals[word] { next.insert(literal) }
                if isOwn && index == 0 { continue }
                if let one = nodes[node].one { next.insert(one) }
                if nodes[node].takesMore { next.insert(node) }
            }
            expand(&next)
            reached = next
            if reached.isEmpty { break }
        }
        return reached.reduce(into: []) { $0.formUnion(nodes[$1].values) }
    }

    /// Adds the `#` nodes below: they match no word at all too.
    private func expand(_ reached: inout Set<Int>) {
        var fresh = Array(reached)
        while let node = fresh.popLast() {
            if let any = nodes[node].any, reached.insert(any).inserted { fresh.append(any) }
        }
    }
}
