/// The series of a ``PrometheusMetrics``, by metric and labels.
struct PrometheusRegistry {
    enum Series {
        case counter(PrometheusCounter)
        case gauge(PrometheusGauge)
        case histogram(PrometheusHistogram)
    }

    /// Labels with valid names, each once, in the order of their names: equal sets are equal.
    struct Labels: Hashable {
        let names: [String]
        let values: [String]

        static let overflow = Labels([("overflow", "true")])

        init(_ dimensions: [(String, String)]) {
            // `le` is the histograms' own.
            let renamed = dimensions.map { name, value in
                let name = PrometheusText.labelName(name)
                return (name == "le" || name.hasPrefix("__") ? "label_" + name : name, value)
            }
            let unique = Dictionary(renamed) { first, _ in first }.sorted { $0.key < $1.key }
            names = unique.map(\.key)
            values = unique.map(\.value)
        }

        var pairs: [(name: String, value: String)] { zip(names, values).map { ($0, $1) } }
    }

    private struct Family {
        var kind: PrometheusFamily.Kind
        var help: String
        var series: [Labels: Series] = [:]
        var overflowed = 0
    }

    private var families: [String: Family] = [:]
    private var conflicts = 0

    /// The series with these labels, made if it is new; nil if the name belongs to another kind of metric.
    mutating func series(
        name: String, help: String, kind: PrometheusFamily.Kind, labels: Labels, maximum: Int, make: () -> Series
    ) -> Series? {
        var family = families[name] ?? Family(kind: kind, help: help)
        guard family.kind == kind else {
            conflicts += 1
            return nil
        }
        var labels = labels
        if family.series[labels] == nil, family.series.count >= maximum {
            family.overflowed += 1
            labels = .overflow
        }
        let series = family.series[labels] ?? make()
        family.series[labels] = series
        families[name] = family
        return series
    }

    /// What a scrape reports.
    func snapshot() -> [PrometheusFamily] {
        var result = families.map { name, family in
            let ordered = family.series.sorted {
                ($0.key.names + $0.key.values).lexicographicallyPrecedes($1.key.names + $1.key.values)
            }
            return PrometheusFamily(
                name: name, help: family.help, kind: family.kind,
                samples: ordered.flatMap { PrometheusRegistry.samples(of: $0.value, labels: $0.key.pairs) })
        }
        let overflowed = families.filter { $0.value.overflowed > 0 }.sorted { $0.key < $1.key }
        result.append(
            PrometheusFamily(
                name: "dovetail_metrics_overflow_total",
                help: "How often a series was asked for beyond the most that its metric may have.", kind: .counter,
                samples: overflowed.map { .init(labels: [("metric", $0.key)], value: Double($0.value.overflowed)) }))
        if conflicts > 0 {
            result.append(
                PrometheusFamily(
                    name: "dovetail_metrics_conflicts_total",
                    help: "How often a metric was asked for under the name of another kind of metric.", kind: .counter,
                    samples: [.init(value: Double(conflicts))]))
        }
        return result
    }

    private static func samples(
        of series: Series, labels: [(name: String, value: String)]
    ) -> [PrometheusFamily.Sample] {
        switch series {
        case .counter(let counter): return [.init(labels: labels, value: counter.value)]
        case .gauge(let gauge): return [.init(labels: labels, value: gauge.value)]
        case .histogram(let histogram):
            let counts = histogram.snapshot()
            var total: UInt64 = 0
            var samples: [PrometheusFamily.Sample] = []
            for (bound, count) in zip(histogram.bounds + [.infinity], counts.buckets) {
                total += count
                let le = (name: "le", value: PrometheusText.number(bound))
                samples.append(.init(suffix: "_bucket", labels: labels + [le], value: Double(total)))
            }
            samples.append(.init(suffix: "_sum", labels: labels, value: counts.sum))
            samples.append(.init(suffix: "_count", labels: labels, value: Double(total)))
            return samples
        }
    }
}
