/// A route that takes many requests as one: each goes through its own route with all that holds there.
public struct BatchPolicy: Sendable, Hashable {
    /// The most requests in one.
    public var maximum: Int
    /// Bytes that all answers may have together.
    public var maximumAnswerBytes: Int

    /// Twenty requests, and 4 MiB of answers.
    public init(maximum: Int = 20, maximumAnswerBytes: Int = 4_194_304) {
        self.maximum = maximum
        self.maximumAnswerBytes = maximumAnswerBytes
    }
}

/// A route that is answered by several others at once, as one JSON object.
public struct AggregatePlan: Sendable, Hashable {
    /// One of them.
    public struct Part: Sendable, Hashable {
        /// The name of its member in the answer.
        public var name: String
        /// What is got: a path and a query of the gateway's own, in which `{name}` stands for what the route's path captured, and `{query.name}` for a
        /// parameter of the request's query.
        public var target: String
        /// Whether there is no answer without it.
        public var isRequired: Bool

        /// A part.
        public init(name: String, target: String, isRequired: Bool = true) {
            self.name = name
            self.target = target
            self.isRequired = isRequired
        }
    }

    /// The parts, in the order of the answer's members.
    public var parts: [Part]
    /// Bytes that all answers may have together.
    public var maximumAnswerBytes: Int

    /// A plan.
    public init(parts: [Part], maximumAnswerBytes: Int = 4_194_304) {
        self.parts = parts
        self.maximumAnswerBytes = maximumAnswerBytes
    }

    /// The most parts of a plan.
    static let maximumParts = 16
    /// The member that says what failed.
    static let errors = "errors"
}
