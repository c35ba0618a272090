import DovetailCore

/// How long answers of an endpoint may be kept at the edge, and what makes them stale before that.
public struct AnswerCaching: Sendable {
    /// What makes an answer stale: an event, and the path of the answer that it makes so.
    public struct Invalidation: Sendable {
        /// The event's topic.
        public let topic: String
        /// The versions of it that can be read.
        public let versions: ClosedRange<Int>
        /// The path below the contract's version that an event of these data makes stale; nil if it makes none so. Throws what decoding throws.
        public let path: @Sendable (_ data: [UInt8], _ version: Int) throws -> String?
    }

    /// How long an answer is fresh that does not say so itself.
    public let freshFor: Duration
    /// What makes answers stale.
    public let invalidations: [Invalidation]
}

/// An event that makes an answer of an endpoint stale: of which input, the event says.
///
///     .cached(for: .seconds(60), invalidatedBy: .when(renamed) { Get(id: $0.userID) })
public struct StaleAnswer<Input: Wire>: Sendable {
    let topic: String
    let versions: ClosedRange<Int>
    let input: @Sendable (_ data: [UInt8], _ version: Int) throws -> Input?

    /// When an event of this kind is published, the answers for the input that `input` makes of it are stale, whatever in their input comes from the query; nil
    /// for none.
    public static func when<Payload>(
        _ event: Event<Payload>, _ input: @escaping @Sendable (Payload) -> Input?
    ) -> StaleAnswer {
        StaleAnswer(topic: event.name, versions: event.versions) { data, version in
            input(try event.decode(data, version: version))
        }
    }

    /// With the path that the input has in `template`.
    func invalidation(_ template: PathTemplate) -> AnswerCaching.Invalidation {
        .init(topic: topic, versions: versions) { data, version in
            guard let input = try input(data, version) else { return nil }
            let value = try JSON.decode(JSONValue.self, from: JSON.encode(input))
            return template.filled { name in
                switch value[name] {
                case .string(let text): text
                case .integer(let number): String(number)
                case .bool(let truth): String(truth)
                default: nil
                }
            }
        }
    }
}

extension Endpoint {
    /// The same endpoint, whose answers a gateway may keep for `time`, but not beyond an event that makes them stale.
    ///
    /// It holds for GET. An answer that says itself how long it is fresh comes first; what was asked for with credentials is kept only if the answer says
    /// that it may be (RFC 9111 3.5).
    public func cached(for time: Duration, invalidatedBy events: StaleAnswer<Input>...) -> Self {
        precondition(method == .get && !answer.isStream, "only the answers of GET that come whole can be kept: \(key)")
        return keeping(
            AnswerCaching(freshFor: time, invalidations: events.map { $0.invalidation(path) }))
    }
}
