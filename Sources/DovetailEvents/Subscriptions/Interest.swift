/// What a reader wants of a log: topics, and conditions on the events.
package struct Interest: Sendable {
    /// The topics, if they are all without wildcards: a log can pass over the rest by itself.
    package let types: Set<String>?
    private let trie: TopicTrie<Bool>
    private let filter: EventFilter?
    private let exceptions: Set<String>

    package init(topics: [TopicPattern], filter: EventFilter?, except exceptions: Set<String> = []) {
        self.exceptions = exceptions
        let exact = topics.compactMap(\.topic)
        types = exact.count == topics.count ? Set(exact) : nil
        var trie = TopicTrie<Bool>()
        for topic in topics { trie.insert(true, for: topic) }
        self.trie = trie
        self.filter = filter
    }

    /// Whether a topic is one of those wanted.
    package func wantsTopic(_ topic: String) -> Bool {
        guard types?.contains(topic) ?? !trie.values(matching: topic).isEmpty else { return false }
        return !exceptions.contains(topic)
    }

    package func wants(_ event: StoredEvent) -> Bool {
        let isOfType = wantsTopic(event.type)
        guard isOfType, let filter else { return isOfType }
        var filtered = FilteredEvent(event)
        return filtered.satisfies(filter)
    }
}
