import Foundation
import Metrics
import TestSupport
import Testing

@testable import DovetailObservability

@Suite struct PrometheusTests {
    let metrics = PrometheusMetrics(durationBounds: [0.01, 0.1], valueBounds: [10, 100], maximumSeries: 3)

    @Test func writesEveryKindOfMetric() {
        Counter(label: "orders.placed", dimensions: [("node", "main")], factory: metrics).increment(by: 3)
        FloatingPointCounter(label: "euro", factory: metrics).increment(by: 1.5)
        Gauge(label: "queue-depth", factory: metrics).record(7)
        Meter(label: "temperature", factory: metrics).set(-1.25)
        let timer = Timer(label: "http.server.request.duration", factory: metrics)
        timer.recordNanoseconds(5_000_000)
        timer.recordNanoseconds(50_000_000)
        timer.recordNanoseconds(5_000_000_000)
        Recorder(label: "body_bytes", factory: metrics).record(100)
        #expect(
            metrics.render() == """
                # HELP body_bytes body_bytes
                # TYPE body_bytes histogram
                body_bytes_bucket{le="10"} 0
                body_bytes_bucket{le="100"} 1
                body_bytes_bucket{le="+Inf"} 1
                body_bytes_sum 100
                body_bytes_count 1
                # HELP euro_total euro
                # TYPE euro_total counter
                euro_total 1.5
                # HELP http_server_request_duration_seconds http.server.request.duration
                # TYPE http_server_request_duration_seconds histogram
                http_server_request_duration_seconds_bucket{le="0.01"} 1
                http_server_request_duration_seconds_bucket{le="0.1"} 2
                http_server_request_duration_seconds_bucket{le="+Inf"} 3
                http_server_request_duration_seconds_sum 5.055
                http_server_request_duration_seconds_count 3
                # HELP orders_placed_total orders.placed
                # TYPE orders_placed_total counter
                orders_placed_total{node="main"} 3
                # HELP queue_depth queue-depth
                # TYPE queue_depth gauge
                queue_depth 7
                # HELP temperature temperature
                # TYPE temperature gauge
                temperature -1.25

                """)
    }

    @Test func countsTheSameSeriesInOnePlace() {
        for _ in 0..<2 { Counter(label: "a", dimensions: [("x", "1"), ("y", "2")], factory: metrics).increment() }
        let again = Counter(label: "a", dimensions: [("y", "2"), ("x", "1")], factory: metrics)
        again.increment()
        again.destroy()
        #expect(metrics.render().contains("a_total{x=\"1\",y=\"2\"} 3\n"))
    }

    @Test func boundsTheSeriesOfAMetric() {
        for user in 0..<1000 {
            Counter(label: "calls", dimensions: [("user", "\(user)")], factory: metrics).increment()
        }
        let text = metrics.render()
        #expect(text.contains("calls_total{user=\"0\"} 1\n"))
        #expect(text.contains("calls_total{overflow=\"true\"} 997\n"))
        #expect(text.contains("dovetail_metrics_overflow_total{metric=\"calls_total\"} 997\n"))
        #expect(text.split(separator: "\n").count { $0.hasPrefix("calls_total{") } == 4)
    }

    @Test func keepsANameToOneKind() {
        Gauge(label: "size", factory: metrics).record(1)
        Recorder(label: "size", factory: metrics).record(5)
        let text = metrics.render()
        #expect(text.contains("# TYPE size gauge\nsize 1\n"))
        #expect(text.contains("dovetail_metrics_conflicts_total 1\n"))
        #expect(!text.contains("size_bucket"))
    }

    @Test func addsTheFamiliesOfOthers() {
        Counter(label: "requests", factory: metrics).increment()
        let extra = [
            PrometheusFamily(
                name: "requests_total", help: "", kind: .counter,
                samples: [.init(labels: [("from", "gateway")], value: 2)]),
            PrometheusFamily(name: "zero", help: "x", kind: .gauge, samples: []),
        ]
        let text = metrics.render(extra: extra)
        #expect(text.contains("requests_total 1\nrequests_total{from=\"gateway\"} 2\n"))
        #expect(text.components(separatedBy: "# TYPE requests_total").count == 2)
        #expect(!text.contains("zero"))
    }

    @Test func countsExactlyFromManyThreads() async {
        let counter = Counter(label: "exact", factory: metrics)
        let timer = Timer(label: "exact.time", factory: metrics)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.increment()
                        timer.recordNanoseconds(1_000_000)
                    }
                }
            }
        }
        let text = metrics.render()
        #expect(text.contains("exact_total 8000\n"))
        #expect(text.contains("exact_time_seconds_count 8000\n"))
    }

    /// Labels that try to break out of their line.
    private var hostile: String {
        let values = ["a\"b", "a\\", "a\nb_total 9", "é😀", "", "\r\n# TYPE x counter", "{x=\"y\"}"]
        let metrics = PrometheusMetrics()
        for (index, value) in values.enumerated() {
            let dimensions = [("le", value), ("9 bad name", value), ("__name__", "\(index)"), ("ok", value)]
            Counter(label: "1 hostile\nname", dimensions: dimensions, factory: metrics).increment()
            Timer(label: "time", dimensions: dimensions, factory: metrics).recordSeconds(index)
        }
        Gauge(label: "limits", factory: metrics).record(Double.infinity)
        Gauge(label: "nan", factory: metrics).record(Double.nan)
        Gauge(label: "small", factory: metrics).record(1.0e-300)
        Gauge(label: "large", factory: metrics).record(1.0e300)
        let help = PrometheusFamily(name: "help", help: "a\\b\nc \"d\"", kind: .gauge, samples: [.init(value: 1)])
        return metrics.render(extra: [help])
    }

    @Test func keepsHostileLabelsInTheirPlace() throws {
        let families = try StrictPrometheusParser.parse(hostile)
        #expect(families["_1_hostile_name_total"]?.samples.count == 7)
        let values = families["_1_hostile_name_total"]?.samples.compactMap { $0.labels["ok"] } ?? []
        #expect(Set(values) == ["a\"b", "a\\", "a\nb_total 9", "é😀", "", " \n# TYPE x counter", "{x=\"y\"}"])
        #expect(families["limits"]?.samples.first?.value == "+Inf")
        #expect(families["help"]?.help == "a\\b\nc \"d\"")
    }

    @Test(.enabled(if: PythonOracle.has("prometheus_client")))
    func isReadByPrometheusOwnParser() throws {
        let script = """
            import sys
            from prometheus_client.parser import text_string_to_metric_families as parse
            families = list(parse(sys.stdin.buffer.read().decode()))
            print(len(families), sum(len(f.samples) for f in families), sorted(set(f.type for f in families)))
            """
        let families = try StrictPrometheusParser.parse(hostile)
        let samples = families.values.reduce(0) { $0 + $1.samples.count }
        let expected = "\(families.count) \(samples) ['counter', 'gauge', 'histogram']\n"
        #expect(try PythonOracle.run(script, input: hostile) == expected)
    }
}
