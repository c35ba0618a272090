import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules

/// What nodes ask each other for: the events that modules of the one publish and modules of the other listen to.
struct FeedAPI: Contract {
    let name = "dovetail-feed", version = 1
    let read = Endpoint.get("/dovetail/events", Read.self, returns: FeedPage.self).timeout(.seconds(30))

    struct Read: Wire, Constrained {
        /// Events after this place; from the beginning unless given.
        var after: LogPosition?
        /// Topics, with AMQP's wildcards.
        var topics: [String]
        /// How long to wait for the first, in milliseconds.
        var wait: Int
        /// The node that asks: what it has not read yet is kept for it.
        var reader: String?
        static let constraints: Constraints = ["topics": .count(1...1000), "wait": .range(0...20_000)]
    }

    /// How many events a page has at most.
    static let pageSize = 500
}

extension Module {
    /// Answers other nodes from this node's log.
    static func feed(of log: any EventLog, marks: FeedMarks) -> Module {
        Module("dovetail-feed", provides: FeedAPI()) { feed in
            feed.handle(\.read) { ask, _ in
                if let reader = ask.reader {
                    await marks.note("\(reader): \(ask.topics.sorted().joined(separator: ", "))", done: ask.after)
                }
                return try await log.feed(
                    after: ask.after, topics: ask.topics.map { TopicPattern($0) }, limit: FeedAPI.pageSize,
                    wait: .milliseconds(ask.wait))
            }
        }
    }
}
