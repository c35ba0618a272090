import DovetailCore
import HTTPTypes

/// How often a call may be carried out for the same effect; what retries are safe follows from it.
public enum Idempotency: String, Sendable, Codable {
    /// Each call has an effect of its own.
    case none
    /// The method promises it: GET, PUT, DELETE (RFC 9110 9.2.2).
    case byNature
    /// Calls that carry the same `Idempotency-Key` are one call.
    case key
}

/// One operation of a contract: method, path, what goes in, what comes out.
///
/// A request is one value. `{name}` in the path fills the field of that name; for GET, HEAD and DELETE the query fills
/// the others, for the rest the JSON body does. Modifiers return a changed copy:
///
///     Endpoint.post("/orders", Place.self, returns: Receipt.self).requires("orders:write").idempotent()
public struct Endpoint<Input: Wire, Output: Sendable>: Sendable {
    /// The method.
    public let method: HTTPRequest.Method
    /// The path below `/v{version}`.
    public let path: PathTemplate
    /// How often it may be carried out.
    public private(set) var idempotency: Idempotency
    /// The scopes a principal needs, all of them.
    public private(set) var scopes: [String] = []
    /// The problems it may answer with, besides those every endpoint has.
    public private(set) var problems: [Problem] = []
    /// How long a caller should wait at most, for all attempts.
    public private(set) var timeout: Duration?
    /// How long its answers may be kept at the edge; nil: a gateway's route says so, or not at all.
    public private(set) var caching: AnswerCaching?
    /// How the answer is written and read.
    public let answer: AnswerCodec<Output>

    init(_ method: HTTPRequest.Method, _ path: String, _ answer: AnswerCodec<Output>) {
        self.method = method
        self.path = PathTemplate(path)
        self.answer = answer
        let safe: [HTTPRequest.Method] = [.get, .head, .put, .delete]
        self.idempotency = safe.contains(method) ? .byNature : .none
    }

    /// The same endpoint, for principals that have all these scopes.
    public func requires(_ scopes: String...) -> Self {
        with { $0.scopes += scopes }
    }

    /// The same endpoint, where calls with one `Idempotency-Key` are one call.
    public func idempotent() -> Self {
        with { $0.idempotency = .key }
    }

    /// The same endpoint, which may answer with these problems.
    public func fails(_ problems: Problem...) -> Self {
        with { $0.problems += problems }
    }

    /// The same endpoint, for which callers wait at most this long.
    public func timeout(_ timeout: Duration) -> Self {
        with { $0.timeout = timeout }
    }

    func keeping(_ caching: AnswerCaching) -> Self {
        with { $0.caching = caching }
    }

    private func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }
}

extension Endpoint where Output: Wire {
    /// Reads; the input comes from path and query.
    public static func get(_ path: String, _ input: Input.Type, returns: Output.Type) -> Self {
        Self(.get, path, .json)
    }

    /// Creates or acts; not idempotent unless said so with ``idempotent()``.
    public static func post(_ path: String, _ input: Input.Type, returns: Output.Type) -> Self {
        Self(.post, path, .json)
    }

    /// Makes it so; the same call twice has the effect of one.
    public static func put(_ path: String, _ input: Input.Type, returns: Output.Type) -> Self {
        Self(.put, path, .json)
    }

    /// Changes in part; not idempotent unless said so with ``idempotent()``.
    public static func patch(_ path: String, _ input: Input.Type, returns: Output.Type) -> Self {
        Self(.patch, path, .json)
    }

    /// Takes away; the same call twice has the effect of one.
    public static func delete(_ path: String, _ input: Input.Type, returns: Output.Type) -> Self {
        Self(.delete, path, .json)
    }
}

extension Endpoint where Output == Empty {
    /// Acts, and answers nothing; not idempotent unless said so with ``idempotent()``.
    public static func post(_ path: String, _ input: Input.Type) -> Self { Self(.post, path, .empty) }

    /// Makes it so, and answers nothing.
    public static func put(_ path: String, _ input: Input.Type) -> Self { Self(.put, path, .empty) }

    /// Changes in part, and answers nothing.
    public static func patch(_ path: String, _ input: Input.Type) -> Self { Self(.patch, path, .empty) }

    /// Takes away, and answers nothing.
    public static func delete(_ path: String, _ input: Input.Type) -> Self { Self(.delete, path, .empty) }
}

extension Endpoint {
    /// Reads a sequence of items, answered as they come: newline-delimited JSON (`application/x-ndjson`).
    public static func get<Item: Wire>(
        _ path: String, _ input: Input.Type, streams: Item.Type
    ) -> Self where Output == AnswerStream<Item> {
        Self(.get, path, .stream())
    }

    /// Acts, and tells how it goes as a sequence of items; not idempotent unless said so with ``idempotent()``.
    public static func post<Item: Wire>(
        _ path: String, _ input: Input.Type, streams: Item.Type
    ) -> Self where Output == AnswerStream<Item> {
        Self(.post, path, .stream())
    }
}
