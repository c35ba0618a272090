import Metrics
import Synchronization

/// A metrics factory of swift-metrics whose numbers are scraped as Prometheus text.
///
///     let metrics = PrometheusMetrics()
///     MetricsSystem.bootstrap(metrics)
///     … metrics.render()
///
/// Labels become names by replacing what is not allowed in one with `_`; counters end in `_total`, timers in `_seconds`. Timers and
/// aggregating recorders are histograms. The same label and dimensions give the same handler, which stays when a metric is destroyed:
/// a series that vanishes and comes back would read as a restart.
///
/// Memory is bounded where dimensions are not: beyond ``maximumSeries`` of one metric all further ones count together, in a series labelled
/// `overflow="true"`, and `dovetail_metrics_overflow_total` says so. A name that is used for two kinds of metric is reported as the first;
/// the others count for nothing, and `dovetail_metrics_conflicts_total` says so.
public final class PrometheusMetrics: MetricsFactory {
    /// From a millisecond to ten seconds.
    public static let durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    /// For sizes and amounts, from 1 to 16 Mi in steps of four.
    public static let valueBounds: [Double] = (0...12).map { Double(1 << ($0 * 2)) }

    /// The most series of one metric.
    public let maximumSeries: Int
    private let durationBounds: [Double]
    private let valueBounds: [Double]
    private let registry = Mutex(PrometheusRegistry())

    /// A factory without metrics.
    ///
    /// - Parameters:
    ///   - durationBounds: The upper bounds of timers' buckets in seconds, ascending.
    ///   - valueBounds: The upper bounds of recorders' buckets, ascending.
    ///   - maximumSeries: The most series of one metric.
    public init(
        durationBounds: [Double] = PrometheusMetrics.durationBounds,
        valueBounds: [Double] = PrometheusMetrics.valueBounds,
        maximumSeries: Int = 1000
    ) {
        self.durationBounds = durationBounds.sorted()
        self.valueBounds = valueBounds.sorted()
        self.maximumSeries = max(1, maximumSeries)
    }

    /// The text of a scrape, with families that others count.
    public func render(extra: [PrometheusFamily] = []) -> String {
        PrometheusText.render(registry.withLock { $0 }.snapshot() + extra)
    }

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) }
        return histogram(label, dimensions, suffix: "", bounds: valueBounds)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions, suffix: "_seconds", bounds: durationBounds)
    }

    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> PrometheusCounter {
        let series = series(label, dimensions, suffix: "_total", kind: .counter) { .counter(PrometheusCounter()) }
        if case .counter(let counter) = series { return counter }
        return PrometheusCounter()
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> PrometheusGauge {
        let series = series(label, dimensions, suffix: "", kind: .gauge) { .gauge(PrometheusGauge()) }
        if case .gauge(let gauge) = series { return gauge }
        return PrometheusGauge()
    }

    private func histogram(
        _ label: String, _ dimensions: [(String, String)], suffix: String, bounds: [Double]
    ) -> PrometheusHistogram {
        let series = series(label, dimensions, suffix: suffix, kind: .histogram) {
            .histogram(PrometheusHistogram(bounds: bounds))
        }
        if case .histogram(let histogram) = series { return histogram }
        return PrometheusHistogram(bounds: bounds)
    }

    private func series(
        _ label: String, _ dimensions: [(String, String)], suffix: String, kind: PrometheusFamily.Kind,
        make: () -> PrometheusRegistry.Series
    ) -> PrometheusRegistry.Series? {
        var name = PrometheusText.metricName(label)
        if !suffix.isEmpty, !name.hasSuffix(suffix) { name += suffix }
        let labels = PrometheusRegistry.Labels(dimensions)
        return registry.withLock { registry in
            registry.series(
                name: name, help: label, kind: kind, labels: labels, maximum: maximumSeries, make: make)
        }
    }
}
