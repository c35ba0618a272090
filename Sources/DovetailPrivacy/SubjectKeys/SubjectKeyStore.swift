import DovetailCore
import DovetailEvents
import Foundation

/// The key of a subject, as it is kept.
public struct SubjectKey: Sendable, CustomStringConvertible, CustomReflectable {
    /// Its id, which each value that it sealed says.
    public var id: UniqueID
    /// Whose it is.
    public var subject: String
    /// The key, locked with the master key if there is one.
    public var secret: [UInt8]
    /// When it was made.
    public var createdAt: Date

    /// A key.
    public init(id: UniqueID, subject: String, secret: [UInt8], createdAt: Date) {
        self.id = id
        self.subject = subject
        self.secret = secret
        self.createdAt = createdAt
    }

    public var description: String { "(key \(id) of \(subject))" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A subject that is forgotten: what is remembered of it is that.
public struct ForgottenSubject: Sendable, Hashable {
    /// Who.
    public var subject: String
    /// Since when.
    public var at: Date
    /// Why, in an operator's words.
    public var reason: String?

    /// A forgotten subject.
    public init(_ subject: String, at date: Date, reason: String?) {
        self.subject = subject
        at = date
        self.reason = reason
    }
}

/// What is known of a subject.
public struct SubjectStatus: Sendable, Hashable {
    /// Who.
    public var subject: String
    /// How many keys it has.
    public var keys: Int
    /// When the first of them was made.
    public var since: Date?
    /// That it was forgotten, if it was.
    public var forgotten: ForgottenSubject?

    /// What is known.
    public init(subject: String, keys: Int, since: Date?, forgotten: ForgottenSubject?) {
        self.subject = subject
        self.keys = keys
        self.since = since
        self.forgotten = forgotten
    }
}

/// Where keys are kept, apart from all that they read. Calls block for a moment; any thread makes them.
///
/// What ``add(_:lock:)``, ``forget(_:announced:)``, ``relock(_:_:)``, ``overwrite()``, ``announced(_:)`` and ``keep(_:)`` did is durable when they return.
public protocol SubjectKeyStore: Sendable {
    /// What an operator knows it by, as a path.
    var name: String { get }
    /// Says with which master key the keys are locked; nil as long as nothing was written.
    func lock() throws -> String?
    /// Replaces each key by what `change` makes of it, and the lock, in one step. Bytes of what they were may be left beside until ``overwrite()``.
    func relock(_ lock: String, _ change: (SubjectKey) throws -> SubjectKey) throws
    /// A subject's newest key.
    func newestKey(of subject: String) throws -> SubjectKey?
    /// A key by its id.
    func key(_ id: UniqueID) throws -> SubjectKey?
    /// Adds keys that are not there, of subjects that are not forgotten.
    func add(_ keys: [SubjectKey], lock: String) throws
    /// That a subject was forgotten, if it was.
    func forgotten(_ subject: String) throws -> ForgottenSubject?
    /// Removes a subject's keys, and remembers that it is forgotten, and whether the log knows. Returns how that is remembered, which is not changed by a second time.
    ///
    /// Bytes of them may be left beside until ``overwrite()``.
    func forget(_ subject: ForgottenSubject, announced: Bool) throws -> ForgottenSubject
    /// Sees to it that no byte is left of what was removed or replaced before the call, also by a process that has ended since. At once if there is nothing to do.
    ///
    /// Throws if somebody keeps it from that; it is owed then until a call succeeds.
    func overwrite() throws
    /// Forgotten subjects of which the log was not told yet.
    func unannounced() throws -> [ForgottenSubject]
    /// The log was told.
    func announced(_ subject: String) throws
    /// What is known of a subject; nil: nothing.
    func status(of subject: String) throws -> SubjectStatus?
    /// Subjects whose names come after `subject`, in order.
    func subjects(after subject: String, limit: Int) throws -> [SubjectStatus]
    /// The place in the log up to which subjects were forgotten that it tells of.
    func place() throws -> LogPosition?
    /// Keeps that place.
    func keep(_ place: LogPosition) throws
}
