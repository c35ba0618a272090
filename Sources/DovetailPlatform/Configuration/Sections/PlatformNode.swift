import DovetailEvents

extension PlatformConfiguration {
    /// One process of the platform: the modules in it, where it listens for the other nodes, and its log.
    public struct Node: Sendable, Hashable {
        /// The node's name: `shop run --node payments`.
        public let name: String
        /// The modules that run in it. A module runs in one node.
        public let modules: [String]
        /// Where it listens for calls of the other nodes; nil if none of them calls it. Beyond the machine itself only with
        /// `security.nodeToken`.
        public let listen: ListenAddress?
        /// How the other nodes reach it, where that is not `listen`: behind a name, a port mapping or TLS.
        public let url: ServerURL?
        /// The log, and the database beside it.
        public let store: Store
    }

    /// Where a node keeps its log and its modules' tables.
    public struct Store: Sendable, Hashable {
        /// What keeps them.
        public enum Engine: String, Sendable, Hashable, CaseIterable {
            /// A SQLite file, the default.
            case sqlite
            /// Memory: everything is gone when the process ends.
            case memory
        }

        /// When an append that returned is safe.
        public enum Durability: String, Sendable, Hashable, CaseIterable {
            /// It survives a loss of power; the default.
            case full
            /// It survives the end of the process; a loss of power may take the last moments with it.
            case normal
        }

        /// What keeps log and tables; `sqlite` by default.
        public let engine: Engine
        /// The database file, relative to the working directory; `data/<node>.db` by default. Nil for `memory`.
        public let path: String?
        /// When an append that returned is safe; `full` by default.
        public let durability: Durability
        /// How long published events are kept; for ever where no rule speaks of their topic.
        public let retention: [RetentionRule]
        /// How long an answer that was given under an idempotency key is kept; ninety days by default.
        public let keepKeys: Duration
    }
}

extension PlatformConfiguration.Node {
    init(name: String, reading section: SectionReader) {
        self.name = name
        modules = section.collection("modules", .list(of: .name), "The modules that run in this node.")
        listen = section.optional("listen", .address, "Where the node listens for calls of the other nodes.")
        url = section.optional("url", .serverURL, "How the other nodes reach it, where that is not 'listen'.")
        store = section.section(
            "store", .section("a store") { PlatformConfiguration.Store(node: name, reading: $0) },
            "Where the node keeps its log and its modules' tables.")
        if case .unix? = listen {
            section.report("a node listens on TCP, not on a Unix socket", key: "listen")
        }
    }

    static func type(name: String) -> ConfigurationType<PlatformConfiguration.Node> {
        .section("a node") { PlatformConfiguration.Node(name: name, reading: $0) }
    }
}

extension PlatformConfiguration.Store {
    init(node: String, reading section: SectionReader) {
        engine = section.value("engine", .keyword(example: .sqlite), default: "sqlite", "What keeps log and tables.")
        let path = section.optional(
            "path", .line("a file's path"), "The database file; data/<node>.db unless given.")
        self.path = engine == .memory ? nil : path ?? "data/\(node).db"
        durability = section.value(
            "durability", .keyword(example: .full), default: "full",
            "full: what was appended survives a loss of power. normal: it survives the end of the process.")
        retention = section.collection(
            "retention", .list(of: .section("a retention rule", RetentionRule.init)),
            "How long published events are kept, by topic; for ever unless a rule says otherwise.")
        keepKeys = section.value(
            "keepKeys", .duration, default: "90d",
            "How long the answer that was given under an idempotency key is kept, so that the key is not taken for a new one."
        )
        if engine == .memory, path != nil { section.report("a store in memory has no path", key: "path") }
        if engine == .memory, section.has("durability") {
            section.report("a store in memory keeps nothing, whatever its durability", key: "durability")
        }
    }
}

extension RetentionRule {
    init(reading section: SectionReader) {
        self.init(
            topics: section.required(
                "topics", .list(of: .topic, atLeast: 1, orSingle: true), "The topics that the rule is about."),
            age: section.optional("age", .duration, "How long after their commit they are kept."),
            bytes: section.optional(
                "size", .byteCount(1 << 10...1 << 40), "How many bytes of them are kept, the newest."),
            positions: section.optional(
                "last", .integer(1...1_000_000_000_000), "Of how many last numbers of the log they are kept."
            ).map(Int64.init))
        if age == nil, bytes == nil, positions == nil {
            section.report("say how long: 'age', 'size' or 'last'", key: "topics")
        }
    }
}
