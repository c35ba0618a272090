import DovetailCore

/// The keys with which another node of the platform reads what it is told, and whose values nobody reads any more.
///
/// Keys travel between fellow nodes only, with the events whose personal values they read. They describe themselves as nothing.
public struct SharedKeys: Wire, CustomStringConvertible, CustomReflectable {
    /// A subject's key.
    public struct Key: Wire {
        /// Its id.
        public var id: UniqueID
        /// Whose values it reads.
        public var subject: String
        /// The key itself.
        public var secret: [UInt8]

        /// A key.
        public init(id: UniqueID, subject: String, secret: [UInt8]) {
            self.id = id
            self.subject = subject
            self.secret = secret
        }
    }

    /// The keys.
    public var keys: [Key]
    /// Subjects that are forgotten.
    public var forgotten: [String]

    /// Keys.
    public init(keys: [Key], forgotten: [String]) {
        self.keys = keys
        self.forgotten = forgotten
    }

    public var description: String { "(\(keys.count) keys)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
