/// What a look through a whole log has found.
public struct LogVerification: Sendable {
    /// Something that is not as it should be.
    public struct Finding: Sendable, Hashable, CustomStringConvertible {
        /// The number of the event, or of the first of several; nil for the log as a whole.
        public var position: Int64?
        /// What is wrong, in a sentence.
        public var message: String

        /// A finding.
        public init(position: Int64?, message: String) {
            self.position = position
            self.message = message
        }

        public var description: String { (position.map { "at \($0): " } ?? "") + message }
    }

    /// How many events are there and were looked at.
    public var events: Int64 = 0
    /// How many were reclaimed, as the log has it on record.
    public var reclaimed: Int64 = 0
    /// Every number up to this one was accounted for.
    public var head: Int64 = 0
    /// What is wrong; empty if the log is whole. At most ``maximumFindings``, of which the last says that there are more.
    public var findings: [Finding] = []

    /// More findings than these help nobody.
    public static let maximumFindings = 100

    /// Nothing looked at yet.
    public init() {}

    /// Whether all is as it should be.
    public var isWhole: Bool { findings.isEmpty }

    /// Adds a finding, unless there are enough.
    package mutating func find(_ position: Int64?, _ message: String) {
        guard findings.count < LogVerification.maximumFindings else { return }
        findings.append(
            findings.count == LogVerification.maximumFindings - 1
                ? Finding(position: position, message: "there is more to find than is told here")
                : Finding(position: position, message: message))
    }
}
