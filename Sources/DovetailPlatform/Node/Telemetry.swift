import DovetailCore
import DovetailGateway
import DovetailObservability
import Foundation
import Logging
import Metrics
import ServiceLifecycle
import Tracing

/// What a process tells about itself: log lines, spans, metrics, access lines.
///
/// The instrumentation systems are the process's; ``bootstrap(_:node:)`` sets them once, before anything else is made.
package final class Telemetry: Service {
    package let spans: SpanStore
    let metrics: PrometheusMetrics
    private let accessLog: AccessLog?
    private let node: String

    private init(spans: SpanStore, metrics: PrometheusMetrics, accessLog: AccessLog?, node: String) {
        self.spans = spans
        self.metrics = metrics
        self.accessLog = accessLog
        self.node = node
    }

    /// Sets the process's instrumentation systems, for the node `node`.
    package static func bootstrap(_ configuration: PlatformConfiguration, node: String) throws -> Telemetry {
        LoggingSystem.bootstrap { ConsoleLogHandler(label: $0) }
        let telemetry = try Telemetry(configuration, node: node)
        MetricsSystem.bootstrap(telemetry.metrics)
        InstrumentationSystem.bootstrap(
            DovetailTracer(node: node, sampling: configuration.telemetry.tracingSample, store: telemetry.spans))
        return telemetry
    }

    /// Telemetry that leaves the process's systems alone: for several nodes in one process, in tests.
    package convenience init(_ configuration: PlatformConfiguration, node: String) throws {
        let accessLog: AccessLog? =
            switch configuration.telemetry.accessLog {
            case .off: nil
            case .json: try AccessLog(format: .json)
            case .common: try AccessLog(format: .common)
            }
        self.init(spans: SpanStore(), metrics: PrometheusMetrics(), accessLog: accessLog, node: node)
    }

    package func run() async throws {
        try? await gracefulShutdown()
        accessLog?.close()
    }

    /// Makes a span and an access line of each request that the gateway has answered.
    var gatewayRecorder: @Sendable (RequestRecord) -> Void {
        { [spans, node, accessLog] record in
            let age = UInt64(clamping: (MonotonicTime.now - record.start).wholeNanoseconds)
            let start = UInt64(max(0, Date().timeIntervalSince1970 * 1e9)) &- age
            let duration = UInt64(clamping: (record.end - record.start).wholeNanoseconds)
            let traceID = TraceID(record.traceID)
            if record.isSampled, let span = FinishedSpan(record, start: start, duration: duration, node: node) {
                spans.record(span)
            }
            guard let accessLog else { return }
            var line = AccessRecord(
                time: start, client: record.clientAddress, principal: record.principal, method: record.method,
                path: record.path, status: record.status, bytes: record.bytesSent, duration: duration,
                route: record.route, correlationID: record.correlationID, traceID: traceID)
            line.host = record.host.isEmpty ? nil : record.host
            line.userAgent = record.userAgent
            if let upstream = record.upstream {
                (line.upstream, line.server, line.attempts) = (upstream, record.server, record.attempts)
            }
            accessLog.write(line)
        }
    }
}

extension FinishedSpan {
    /// The gateway's span of a request; nil if its ids are none.
    fileprivate init?(_ record: RequestRecord, start: UInt64, duration: UInt64, node: String) {
        guard let traceID = TraceID(record.traceID), let spanID = SpanID(record.spanID) else { return nil }
        self.init(
            traceID: traceID, spanID: spanID, parentSpanID: record.parentSpanID.flatMap { SpanID($0) },
            name: "gateway \(record.method) \(record.route ?? "(no route)")", kind: .server, node: node, start: start,
            duration: duration)
        status = record.status >= 500 || record.status == 0 ? .error : .unset
        attributes = [
            "http.request.method": .text(record.method), "url.path": .text(record.path),
            "http.response.status_code": .integer(Int64(record.status)), "client.address": .text(record.clientAddress),
        ]
        if let upstream = record.upstream { attributes["dovetail.upstream"] = .text(upstream) }
    }
}
