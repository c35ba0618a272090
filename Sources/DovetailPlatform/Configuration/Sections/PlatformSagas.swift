extension PlatformConfiguration {
    /// What is kept of sagas.
    public struct Sagas: Sendable, Hashable {
        /// How long an instance that has ended is kept with its journal, unless its saga says otherwise; thirty days by default.
        public let keepEnded: Duration
    }
}

extension PlatformConfiguration.Sagas {
    init(reading section: SectionReader) {
        keepEnded = section.value(
            "keepEnded", .duration, default: "30d",
            "How long an instance that has ended is kept with its journal, unless its saga says otherwise.")
    }
}
