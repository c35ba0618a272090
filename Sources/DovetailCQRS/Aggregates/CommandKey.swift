import DovetailCore
import DovetailEvents

/// What a command is known by for once: the same name again is the same command.
public struct CommandKey: Sendable, Hashable, ExpressibleByStringInterpolation {
    /// The name.
    public var name: String
    /// What the command was asked with, in short; nil if that is not held against later ones.
    public var input: String?

    /// A key of that name.
    public init(_ name: String, input: String? = nil) {
        self.name = name
        self.input = input
    }

    public init(stringLiteral name: String) { self.init(name) }

    private static let header = TruncatedEvent.inputHeader

    /// The id of one of the events that the command leads to: always the same, whatever it is carried out on, so that the log takes it once.
    func eventID(_ index: Int) -> UniqueID { .derived(from: "command", name, String(index)) }

    /// The id that such an event had in logs of before.
    func earlierEventID(_ stream: String, _ index: Int) -> UniqueID {
        .derived(from: "command", name, stream, String(index))
    }

    /// Notes with an event what it was asked with.
    func note(in attributes: inout EventAttributes) {
        if let input { attributes.headers = [Self.header: input] }
    }

    /// Throws if it was asked for with something else before, `first`.
    func confirm(_ first: String?) throws {
        if let input, let first, first != input { throw Problem.keyReused }
    }
}

extension Problem {
    /// `422`: an idempotency key was used for another request before (draft-ietf-httpapi-idempotency-key-header, section 2.7).
    public static let keyReused = Problem(
        "idempotency-key-reused", status: 422,
        detail: "the Idempotency-Key was used for another request before; give each request a key of its own")
}
