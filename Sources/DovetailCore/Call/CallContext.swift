import ServiceContextModule

/// What travels with a call through every hop: in process, over HTTP, through the log and back out of it.
public struct CallContext: Sendable {
    /// When the caller stops waiting. Each hop passes on what is left of it.
    public var deadline: MonotonicTime?

    /// Who the call is made for, once authenticated.
    public var principal: Principal?

    /// The caller's name for this attempt to do something once. The same key means the same request.
    public var idempotencyKey: String?

    /// Names the whole flow that a first request set off; the same in every call, event and saga step that follows.
    public var correlationID: String

    /// The id of the event, or of the call, that directly caused this one.
    public var causationID: String?

    /// The trace context (and baggage) of swift-distributed-tracing.
    public var trace: ServiceContext

    /// A log position that what the call reads must have reached (see `Dovetail-After`), as text.
    public var after: String?

    /// A context for a flow that starts here.
    public init(
        deadline: MonotonicTime? = nil, principal: Principal? = nil, idempotencyKey: String? = nil,
        correlationID: String = UniqueID.v7().description, causationID: String? = nil,
        trace: ServiceContext = .topLevel, after: String? = nil
    ) {
        self.deadline = deadline
        self.principal = principal
        self.idempotencyKey = idempotencyKey
        self.correlationID = correlationID
        self.causationID = causationID
        self.trace = trace
        self.after = after
    }

    /// The same context with its deadline brought forward to `deadline` if that is earlier.
    public func limited(to deadline: MonotonicTime?) -> CallContext {
        guard let deadline else { return self }
        var copy = self
        copy.deadline = self.deadline.map { min($0, deadline) } ?? deadline
        return copy
    }

    /// The context of the call that the present task serves: a handler, a saga step, a delivery. Nil outside of one.
    ///
    /// Typed clients take deadline, principal, correlation and trace from it, so that nothing has to be passed by hand.
    @TaskLocal public static var current: CallContext?
}
