import DovetailCore
import DovetailGateway
import DovetailObservability
import DovetailResilience
import Foundation
import Logging
import ServiceLifecycle
import Tracing

/// What a process tells about itself: spans, logs, metrics.
///
/// The instrumentation systems are the process's; ``bootstrap(_:node:)`` sets them once, before anything else is made.
package final class Telemetry: Service {
    package let spans: SpanStore
    private let node: String

    private init(spans: SpanStore, node: String) {
        self.spans = spans
        self.node = node
    }

    /// Sets the process's instrumentation systems, for the node `node`.
    package static func bootstrap(_ configuration: PlatformConfiguration, node: String) -> Telemetry {
        let spans = SpanStore()
        InstrumentationSystem.bootstrap(
            DovetailTracer(node: node, sampling: configuration.telemetry.tracingSample, store: spans))
        return Telemetry(spans: spans, node: node)
    }

    package func run() async throws {
        try? await gracefulShutdown()
    }

    /// Makes a span of each request that the gateway has answered.
    var gatewayRecorder: @Sendable (RequestRecord) -> Void {
        let spans = spans
        let node = node
        return { record in
            guard record.isSampled, let traceID = TraceID(record.traceID), let spanID = SpanID(record.spanID) else { return }
            let now = UInt64(max(0, Date().timeIntervalSince1970 * 1e9))
            let age = UInt64(max(0, (MonotonicTime.now - record.start).wholeNanoseconds))
            let duration = UInt64(max(0, (record.end - record.start).wholeNanoseconds))
            var span = FinishedSpan(
                traceID: traceID, spanID: spanID, parentSpanID: record.parentSpanID.flatMap { SpanID($0) },
                name: "gateway \(record.method) \(record.route ?? "(no route)")", kind: .server, node: node,
                start: now &- age, duration: duration)
            span.status = record.status >= 500 ? .error : .unset
            span.attributes = [
                "http.request.method": .string(record.method), "url.path": .string(record.path),
                "http.response.status_code": .integer(Int64(record.status)),
                "client.address": .string(record.clientAddress),
            ]
            if let upstream = record.upstream { span.attributes["dovetail.upstream"] = .string(upstream) }
            spans.record(span)
        }
    }
}
