import DovetailContracts
import Foundation

/// What an operator says, and is told, of people whose data is kept.
extension AdminAPI {
    /// A subject.
    public struct BySubject: Wire {
        /// Its id.
        public var subject: String
    }

    /// A subject that is to be forgotten.
    public struct ForgetSubject: Wire {
        /// Its id.
        public var subject: String
        /// Why, in words that say nothing personal: they are kept.
        public var reason: String?
    }

    /// Which subjects to list.
    public struct SubjectQuery: Wire {
        /// Those whose ids come after this one.
        public var after: String?
        /// How many at most; a hundred unless given.
        public var limit: Int?
    }

    /// What a node knows of a subject.
    public struct SubjectLine: Wire {
        /// Its id.
        public var subject: String
        /// How many keys the node has for it.
        public var keys: Int
        /// When the first of them was made.
        public var since: Date?
        /// When it was forgotten, if it was.
        public var forgottenAt: Date?
        /// Why, as it was said.
        public var reason: String?
    }

    /// Subjects, in the order of their ids.
    public struct SubjectPage: Wire {
        /// The subjects.
        public var subjects: [SubjectLine]
    }

    /// Where to copy the keys to.
    public struct KeyBackup: Wire {
        /// A file of the node's machine that is not there yet.
        public var file: String
    }
}
