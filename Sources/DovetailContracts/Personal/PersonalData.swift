import DovetailCore

/// Seals personal values under a key for each subject, and opens them as long as the subject is not forgotten.
public protocol PersonalVault: Sendable {
    /// The bytes, sealed so that only this vault, or one with the same keys, reads them. Throws ``PersonalDataError``.
    ///
    /// Does not wait for the disk. A new subject's key is durable before anything that a store commits after the call.
    func seal(_ bytes: [UInt8], of subject: String) throws -> SealedText

    /// The bytes; nil if their subject is forgotten. Throws ``PersonalDataError``: `tampered`, or `keyMissing` where a key is gone without its subject being forgotten.
    func open(_ sealed: SealedText) throws -> [UInt8]?

    /// Whether a subject is forgotten. Throws if that cannot be found out.
    func isForgotten(_ subject: String) throws -> Bool

    /// How many subjects were forgotten here: who holds what it has read looks again when this has risen.
    var forgettings: Int { get }

    /// The keys that read these, for a fellow node.
    func share(_ sealed: [SealedText]) throws -> SharedKeys

    /// Takes a fellow node's keys in, and forgets whom it has forgotten. Durable before anything that a store commits after the call.
    func take(_ keys: SharedKeys) throws
}

/// Where the task at hand seals and opens personal values.
///
/// A node sets the vault for all that it runs: handlers, subscriptions, sagas, read models, transactions. Code that has a store without a node, as a test, does it itself:
///
///     try await PersonalData.$vault.withValue(store.keys) { … }
public enum PersonalData {
    /// The vault; nil where there is none.
    @TaskLocal public static var vault: (any PersonalVault)?

    /// Whether the task at hand brings up to date what was kept before it was personal: what it makes is as old as that, and absent if its subject is forgotten.
    @TaskLocal static var isUpcasting = false

    /// Whether nothing of a subject's is to be made any more. Where that cannot be found out, it shows when the value is sealed.
    static func isGone(_ subject: String) -> Bool {
        guard isUpcasting, let vault else { return false }
        return (try? vault.isForgotten(subject)) ?? false
    }

    /// `body` with the vault of this task, for a thread that is of no task.
    package static func carried<Input, Value>(
        _ body: @escaping @Sendable (Input) throws -> Value
    ) -> @Sendable (Input) throws -> Value {
        guard let vault else { return body }
        return { input in try $vault.withValue(vault) { try body(input) } }
    }
}

/// Why a personal value can be neither written nor read. Never says the value.
public struct PersonalDataError: ClassifiedFailure, Hashable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Code: String, Sendable {
        /// A value is to be kept of which nobody knows whose it is.
        case noSubject
        /// There are no keys where the value is written or read.
        case noVault
        /// The subject is forgotten; nothing is kept of it any more.
        case subjectForgotten
        /// The text was changed, or is of another subject or key than it says.
        case tampered
        /// The key is not there, and the subject was not forgotten.
        case keyMissing
        /// What was kept is no sealed value: it was written before the field was personal.
        case notSealed
        /// What is sealed is no value of the type that is asked for.
        case misfit
        /// The keys were locked with another master key.
        case wrongMasterKey
    }

    /// What kind of failure it is.
    public var code: Code
    /// The subject concerned, or the file.
    public var subject: String

    /// A failure.
    public init(_ code: Code, _ subject: String) {
        self.code = code
        self.subject = subject
    }

    public var failureKind: FailureKind { .permanent }

    public var description: String {
        switch code {
        case .noSubject:
            "a personal value has no subject of 1 to 200 bytes and cannot be kept: say whose it is, as in Personal(value, of: customerID)"
        case .noVault:
            "a personal value of '\(subject)' is written or read where there are no keys: run it in a node, or in PersonalData.$vault.withValue(store.keys)"
        case .subjectForgotten:
            "'\(subject)' is forgotten, and nothing personal is kept of it any more: who comes back gets a new id"
        case .tampered:
            "a personal value of '\(subject)' is not as it was written: the text was changed, or moved from another subject; restore it from a backup"
        case .keyMissing:
            "the key of a personal value of '\(subject)' is missing, though it was not forgotten: bring back the file of keys that belongs to this store"
        case .notSealed:
            "what is kept as a personal value is not sealed: it was written before the field was personal; give the event a next version with an upcaster that says whose it is"
        case .misfit:
            "what is kept as a personal value of '\(subject)' is of another type than is asked for; the value is not shown"
        case .wrongMasterKey:
            "the keys in \(subject) were locked with another master key: set privacy.key to that one, or name it as privacy.previousKey to have them locked anew"
        }
    }
}
