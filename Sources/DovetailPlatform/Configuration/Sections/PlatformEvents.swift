import DovetailEvents

extension PlatformConfiguration {
    /// The door for events in any language: CloudEvents over HTTP, in and out.
    public struct Events: Sendable, Hashable {
        /// The node whose log the events come from and go into.
        public let node: String
        /// Where the door listens.
        public let listen: ListenAddress
        /// Who may come in, by name.
        public let clients: [EventClient]
        /// What is brought to, or held for, others, by name.
        public let subscriptions: [EventSubscription]
        /// The largest event that is taken, in bytes; 1 MiB by default.
        public let maxEvent: Int
        /// The most events of a batch; 1000 by default.
        public let maxBatch: Int
        /// Whether events are taken that no contract of the platform declares.
        public let acceptsUndeclared: Bool?
    }

    /// Somebody outside who publishes or reads events.
    public struct EventClient: Sendable, Hashable {
        /// The name.
        public let name: String
        /// What the client shows.
        public let token: Secret
        /// The topics it may publish.
        public let publish: [TopicPattern]
        /// The topics it may read.
        public let read: [TopicPattern]
    }

    /// A durable subscription of somebody outside.
    public struct EventSubscription: Sendable, Hashable {
        /// How events reach the subscriber.
        public enum Way: Sendable, Hashable {
            /// The client fetches them, and says when it is done with each.
            case pull(client: String, ackWithin: Duration)
            /// They are posted to a URL.
            case push(Push)
        }

        /// The durable name.
        public let name: String
        /// The topics.
        public let topics: [TopicPattern]
        /// What an event has to say besides.
        public let filter: EventFilter?
        /// Whether a new subscription begins with the first event of the log, or with what comes.
        public let fromBeginning: Bool
        /// Whether events of one key come one after the other.
        public let isOrdered: Bool
        /// How many events may be under way.
        public let concurrency: Int
        /// How often an event is tried again, after the first attempt.
        public let retries: Int
        /// How events reach the subscriber.
        public let way: Way
    }

    /// Where events are posted to.
    public struct Push: Sendable, Hashable {
        /// The URL.
        public let url: String
        /// The secret that signs what is posted.
        public let secret: Secret
        /// How long the receiver may take.
        public let timeout: Duration
    }
}

extension PlatformConfiguration.Events {
    init(reading section: SectionReader) {
        node = section.required("node", .name, "The node whose log the events come from and go into.")
        listen = section.required("listen", .address, "Where the door listens.")
        clients = section.collection(
            "clients", .named("clients by name", PlatformConfiguration.EventClient.type), "Who may come in, by name."
        ).map(\.value)
        subscriptions = section.collection(
            "subscriptions", .named("subscriptions by name", PlatformConfiguration.EventSubscription.type),
            "Durable subscriptions of others, by name."
        ).map(\.value)
        maxEvent = section.value(
            "maxEvent", .byteCount(1024...64 << 20), default: "1MiB", "The largest event; more is answered 413.")
        maxBatch = section.value(
            "maxBatch", .integer(1...10_000), default: "1000", "The most events of a batch; more are answered 400.")
        acceptsUndeclared = section.optional(
            "undeclared", .flag,
            "Whether events are taken that no contract declares; unless given, only where no contract declares any.")
        if case .unix = listen { section.report("the door listens on TCP, not on a Unix socket", key: "listen") }
        if clients.isEmpty, !section.has("subscriptions") {
            section.report("nobody may come in: name a client, or a subscription that is pushed", key: "clients")
        }
    }
}

extension PlatformConfiguration.Events {
    /// The largest request: base64 and attributes make an event larger than its data, and a batch has several, though not all of the largest.
    var largestBody: Int { max(2 * maxEvent + 64 << 10, 8 << 20) }
}

extension PlatformConfiguration.EventClient {
    init(name: String, reading section: SectionReader) {
        self.name = name
        token = section.required(
            "token", .secret(minimumBytes: 16), "What the client shows as its bearer token; write it as ${NAME}.")
        publish = section.collection(
            "publish", .list(of: .topic, orSingle: true), "The topics it may publish; none unless given.")
        read = section.collection(
            "read", .list(of: .topic, orSingle: true), "The topics it may read; none unless given.")
    }

    static func type(name: String) -> ConfigurationType<PlatformConfiguration.EventClient> {
        .section("a client") { PlatformConfiguration.EventClient(name: name, reading: $0) }
    }
}

extension PlatformConfiguration.EventSubscription {
    init(name: String, reading section: SectionReader) {
        self.name = name
        topics = section.required("topics", .list(of: .topic, atLeast: 1, orSingle: true), "The topics it wants.")
        filter = section.optional("filter", .eventFilter, "What an event has to say besides, as data.total > 100.")
        fromBeginning = section.value(
            "from", .word("beginning", or: "now"), default: "beginning",
            "Where a new subscription begins: with the log's first event, or with what comes.")
        isOrdered = section.value(
            "order", .word("key", or: "none"), default: "key",
            "key: events of one key one after the other, through failures too. none: any at the same time.")
        concurrency = section.value(
            "concurrency", .integer(1...10_000), default: "32", "How many events may be under way.")
        retries = section.value(
            "retries", .integer(0...100), default: "8", "How often an event is tried again before it is a dead letter.")
        let client = section.optional("client", .name, "The client that fetches the events.")
        let ackWithin = section.value(
            "ackWithin", .duration, default: "30s", "How long a client may have an event before it is given out again.")
        let push = section.optional(
            "push", .section("a push section", PlatformConfiguration.Push.init), "Where events are posted to.")
        section.exactlyOne(of: "client", "push")
        if let push { way = .push(push) } else { way = .pull(client: client ?? "", ackWithin: ackWithin) }
        if push != nil, section.has("ackWithin") {
            section.report("it is for clients that fetch; a push has its 'timeout'", key: "ackWithin")
        }
    }

    static func type(name: String) -> ConfigurationType<PlatformConfiguration.EventSubscription> {
        .section("a subscription") { PlatformConfiguration.EventSubscription(name: name, reading: $0) }
    }
}

extension PlatformConfiguration.Push {
    init(reading section: SectionReader) {
        url = section.required("url", .webURL, "The URL that events are posted to.")
        secret = section.required(
            "secret", .secret(minimumBytes: 16),
            "The secret that signs what is posted (Standard Webhooks); write it as ${NAME}.")
        timeout = section.value("timeout", .duration, default: "10s", "How long the receiver may take.")
    }
}

extension ConfigurationType where Value == TopicPattern {
    /// A topic, or a pattern of topics.
    static var topic: ConfigurationType {
        text(
            "a topic such as order.created, or a pattern with * for one word and # for any",
            pattern: "^[^\\s.]+(\\.[^\\s.]+)*$", example: TopicPattern("topic")
        ) { text in
            let words = text.split(separator: ".", omittingEmptySubsequences: false)
            let isTopic = words.allSatisfy { !$0.isEmpty && !$0.contains(where: \.isWhitespace) }
            return isTopic ? TopicPattern(text) : nil
        }
    }
}

extension ConfigurationType where Value == EventFilter {
    /// A filter as text.
    static var eventFilter: ConfigurationType {
        let read = ConfigurationType<String>.line("a filter such as data.total > 100 AND source = 'orders'")
        return ConfigurationType(expected: read.expected, schema: read.schema, example: .all([])) { node, place in
            guard let text = read.read(node, place) else { return nil }
            do { return try EventFilter(parsing: text) } catch {
                place.report("the filter cannot be read \(error)", at: node)
                return nil
            }
        }
    }
}

extension ConfigurationType where Value == Bool {
    /// One of two words; true for the first.
    static func word(_ first: String, or second: String) -> ConfigurationType {
        scalar("\(first) or \(second)", schema: ["enum": [.string(first), .string(second)]], example: true) { text in
            text == first ? true : text == second ? false : nil
        }
    }
}

extension ConfigurationType where Value == String {
    /// A URL with a path.
    static var webURL: ConfigurationType {
        text(
            "a URL such as https://crm.example/hooks", pattern: "^https?://[^/\\s]+(/[^\\s]*)?$",
            example: "https://localhost/"
        ) { text in
            guard text.utf8.allSatisfy({ (33...126).contains($0) }), let slashes = text.firstRange(of: "://") else {
                return nil
            }
            let rest = text[slashes.upperBound...]
            let path = rest.firstIndex(of: "/") ?? rest.endIndex
            return ServerURL(String(text[..<path])) == nil ? nil : text
        }
    }
}
