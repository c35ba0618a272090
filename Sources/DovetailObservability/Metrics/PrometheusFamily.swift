/// All series of one metric, as a scrape reports them. Others than ``PrometheusMetrics`` add theirs to its answer.
public struct PrometheusFamily: Sendable, Equatable {
    /// What kind of metric it is.
    public enum Kind: String, Sendable {
        /// Only grows, from zero at the start of the process. The name ends in `_total`.
        case counter
        /// Goes up and down.
        case gauge
        /// Counts by size: samples `_bucket` with a label `le`, `_sum` and `_count`.
        case histogram
    }

    /// One number.
    public struct Sample: Sendable, Equatable {
        /// What the sample's name has behind the family's: `_bucket`, `_sum`, `_count`, or nothing.
        public var suffix: String
        /// Names and values that tell the sample from the family's others.
        public var labels: [(name: String, value: String)]
        /// The number.
        public var value: Double

        /// A sample.
        public init(suffix: String = "", labels: [(name: String, value: String)] = [], value: Double) {
            self.suffix = suffix
            self.labels = labels
            self.value = value
        }

        public static func == (left: Sample, right: Sample) -> Bool {
            left.suffix == right.suffix && left.value == right.value
                && left.labels.elementsEqual(right.labels) { $0 == $1 }
        }
    }

    /// The metric's name, with its unit: `http_server_request_duration_seconds`.
    public var name: String
    /// What it means, in a sentence.
    public var help: String
    /// What kind of metric it is.
    public var kind: Kind
    /// Its numbers.
    public var samples: [Sample]

    /// A family of samples.
    public init(name: String, help: String, kind: Kind, samples: [Sample]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.samples = samples
    }
}
