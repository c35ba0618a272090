import DovetailCore

/// A command that expected another version of its instance: somebody else has changed it since it was looked at. Nothing was done; sent again, it is refused again.
public struct CommandConflict: ClassifiedFailure, Hashable, CustomStringConvertible {
    /// The stream.
    public var stream: String
    /// The version that was expected.
    public var expected: Int64
    /// The version that it has.
    public var actual: Int64

    /// A conflict.
    public init(stream: String, expected: Int64, actual: Int64) {
        self.stream = stream
        self.expected = expected
        self.actual = actual
    }

    public var failureKind: FailureKind { .permanent }

    public var description: String {
        "'\(stream)' is at version \(actual), not at \(expected) as expected: it was changed since; look at it again and decide anew"
    }
}
