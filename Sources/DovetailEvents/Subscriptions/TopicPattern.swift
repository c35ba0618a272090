/// A pattern over topics, with the wildcards of AMQP: `*` stands for one word, `#` for none, one or more.
///
/// Words are separated by dots. A topic whose first word starts with `$` is the engine's own: it is matched only by patterns that say that
/// word, never by a wildcard in its place.
public struct TopicPattern: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    enum Word: Sendable, Hashable {
        case literal(Substring)
        case one
        case any
    }

    /// The pattern as text.
    public let description: String
    let words: [Word]

    /// A pattern.
    public init(_ text: String) {
        description = text
        words = TopicPattern.split(text).map { word in
            switch word {
            case "*": .one
            case "#": .any
            default: .literal(word)
            }
        }
    }

    public init(stringLiteral text: String) {
        self.init(text)
    }

    /// The topic that the pattern names, if it has no wildcards.
    public var topic: String? {
        words.allSatisfy { if case .literal = $0 { true } else { false } } ? description : nil
    }

    /// Whether `topic` fits the pattern.
    public func matches(_ topic: String) -> Bool {
        var trie = TopicTrie<Bool>()
        trie.insert(true, for: self)
        return !trie.values(matching: topic).isEmpty
    }

    /// The words of a topic; the empty topic has none (as in AMQP).
    static func split(_ topic: String) -> [Substring] {
        topic.isEmpty ? [] : topic.split(separator: ".", omittingEmptySubsequences: false)
    }
}
