import DovetailPrivacy

extension PlatformConfiguration {
    /// How personal data is kept.
    public struct Privacy: Sendable, Hashable {
        /// What locks the keys of subjects in their files; nil: they lie there as they are.
        public let key: Secret?
        /// What locked them before: they are locked anew at the next start.
        public let previousKey: Secret?

        /// The master key.
        var masterKey: MasterKey? { key.map { MasterKey(secret: $0.revealed) } }
        /// The one before.
        var previousMasterKey: MasterKey? { previousKey.map { MasterKey(secret: $0.revealed) } }
    }
}

extension PlatformConfiguration.Privacy {
    init(reading section: SectionReader) {
        key = section.optional(
            "key", .secret(minimumBytes: 32),
            "What locks the keys of personal data where they are kept; write it as ${NAME}, and make it with `openssl rand -base64 32`."
        )
        previousKey = section.optional(
            "previousKey", .secret(minimumBytes: 32),
            "What locked them before: at the next start they are locked with 'key', and this can go.")
        if previousKey != nil, key == nil {
            section.report("a 'previousKey' has no effect without a 'key'", key: "previousKey")
        }
    }
}
