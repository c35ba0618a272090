import DovetailCore

/// One attempt at a call.
public struct Attempt: Sendable, Hashable {
    /// The number of the attempt; the first is 1.
    public let number: Int
    /// When the attempt is given up; nil if it may take as long as it likes.
    public let deadline: MonotonicTime?
}
