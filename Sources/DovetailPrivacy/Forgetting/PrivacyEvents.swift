import DovetailContracts
import Foundation

/// What a platform tells of personal data: modules and read models subscribe to it as to any event.
public struct PrivacyEvents: Contract {
    public let name = "dovetail-privacy", version = 1
    /// A subject is forgotten: personal values of it are absent wherever they were kept.
    ///
    /// For what lies outside, as a mail provider's list. Read models need not do anything.
    public let subjectForgotten = Event("dovetail.privacy.subject-forgotten", Forgotten.self, key: \.subject)

    /// The contract.
    public init() {}

    /// Who is forgotten.
    public struct Forgotten: Wire, Hashable {
        /// The subject, by id.
        public var subject: String
        /// Since when.
        public var at: Date
        /// Why, in an operator's words.
        public var reason: String?

        /// A forgotten subject.
        public init(subject: String, at date: Date, reason: String?) {
            self.subject = subject
            at = date
            self.reason = reason
        }
    }
}
