import DovetailCore
import DovetailEvents
import DovetailGateway
import DovetailModules
import DovetailObservability
import DovetailResilience
import HTTPTypes

extension Node {
    /// The node's metrics in Prometheus' text format.
    func metrics() async -> RawResponse {
        var families = callFamilies + logFamilies + (await subscriptionFamilies)
        if let gateway { families += await gateway.metrics().families }
        return RawResponse(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: .bytes(Array(telemetry.metrics.render(extra: families).utf8)))
    }

    private var callFamilies: [PrometheusFamily] {
        let counters = policies.counters
        func family(_ name: String, _ help: String, _ value: (PolicyCounters) -> Int) -> PrometheusFamily {
            PrometheusFamily(
                name: name, help: help, kind: .counter,
                samples: counters.map { .init(labels: [("callee", $0.callee)], value: Double(value($0.counters))) })
        }
        return [
            family("dovetail_calls_total", "Calls to a module.") { $0.calls },
            family("dovetail_calls_failed_total", "Calls to a module that failed.") { $0.failed },
            family("dovetail_call_retries_total", "Attempts after the first.") { $0.retries },
            family("dovetail_call_timeouts_total", "Attempts that gave no answer in time.") { $0.timedOut },
            family("dovetail_calls_rejected_total", "Calls that were not sent.") {
                $0.circuitOpen + $0.bulkheadFull + $0.rateLimited
            },
            family("dovetail_circuit_openings_total", "How often the circuit breaker opened.") { $0.circuitOpenings },
        ]
    }

    private var subscriptionFamilies: [PrometheusFamily] {
        get async {
            // The figures are the log's; while it cannot be read there are none.
            let subscriptions = (try? await bus.subscriptions()) ?? []
            func family(
                _ name: String, _ help: String, _ value: (SubscriptionStatus) -> Double
            ) -> PrometheusFamily {
                PrometheusFamily(
                    name: name, help: help, kind: .gauge,
                    samples: subscriptions.map { .init(labels: [("subscription", $0.name)], value: value($0)) })
            }
            return [
                family("dovetail_subscription_lag_events", "Events that a subscription has not settled.") {
                    Double($0.lag)
                },
                family("dovetail_subscription_lag_seconds", "The age of the oldest event that is not settled.") {
                    $0.age?.inSeconds ?? 0
                },
                family("dovetail_subscription_blocked_keys", "Keys whose events wait because one of them failed.") {
                    Double($0.blockedKeys)
                },
                family("dovetail_subscription_dead_letters", "Events that a subscription gave up on.") {
                    Double($0.deadLetters)
                },
            ]
        }
    }

    private var logFamilies: [PrometheusFamily] {
        let head = store.log.head
        let takesIn = store.log.condition.trouble == nil
        let lag = runtimes.flatMap { runtime in
            runtime.readModel.status.map { projection, status in
                PrometheusFamily.Sample(
                    labels: [("module", runtime.module), ("projection", projection)],
                    value: Double(max(0, head - status.scanned)))
            }
        }
        return [
            PrometheusFamily(
                name: "dovetail_log_head", help: "The number of the last durable event.", kind: .gauge,
                samples: [.init(value: Double(head))]),
            PrometheusFamily(
                name: "dovetail_log_open", help: "1 while the log takes events in; 0 when full or stopped.",
                kind: .gauge, samples: [.init(value: takesIn ? 1 : 0)]),
            PrometheusFamily(
                name: "dovetail_feed_lag_events", help: "Events of another node's log that were not looked at.",
                kind: .gauge,
                samples: feeds.map(\.status).map {
                    .init(labels: [("feed", $0.name)], value: Double(max(0, $0.head - $0.scanned)))
                }),
            PrometheusFamily(
                name: "dovetail_projection_lag_events", help: "Events that a projection has not looked at.",
                kind: .gauge, samples: lag),
        ]
    }
}

extension GatewayMetrics {
    /// The counters as Prometheus families.
    fileprivate var families: [PrometheusFamily] {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx", "broken"]
        let ordered = routes.sorted { $0.key < $1.key }
        let requests = ordered.flatMap { route, counters in
            zip(classes, counters.requests).filter { $0.1 > 0 }.map { status, count in
                PrometheusFamily.Sample(labels: [("route", route), ("status", status)], value: Double(count))
            }
        }
        let latencies = ordered.flatMap { route, counters in
            var sum = 0.0
            var samples: [PrometheusFamily.Sample] = []
            for (index, count) in counters.latency.enumerated() {
                sum += Double(count)
                let bound = index < Route.bounds.count ? "\(Route.bounds[index])" : "+Inf"
                samples.append(.init(suffix: "_bucket", labels: [("route", route), ("le", bound)], value: sum))
            }
            samples.append(.init(suffix: "_sum", labels: [("route", route)], value: counters.latencySum))
            samples.append(.init(suffix: "_count", labels: [("route", route)], value: sum))
            return samples
        }
        func byName(_ name: String, _ help: String, _ label: String, _ values: [String: UInt64]) -> PrometheusFamily {
            PrometheusFamily(
                name: name, help: help, kind: .counter,
                samples: values.sorted { $0.key < $1.key }.map {
                    .init(labels: [(label, $0.key)], value: Double($0.value))
                })
        }
        return [
            PrometheusFamily(
                name: "dovetail_gateway_requests_total", help: "Requests, by route and class of status.",
                kind: .counter,
                samples: requests),
            PrometheusFamily(
                name: "dovetail_gateway_request_duration_seconds",
                help: "From a request's head to the last byte of its answer.", kind: .histogram, samples: latencies),
            byName(
                "dovetail_gateway_rejected_total", "Requests that the gateway answered itself.", "reason",
                Dictionary(uniqueKeysWithValues: rejected.map { ($0.key.rawValue, $0.value) })),
            byName("dovetail_gateway_upstream_errors_total", "Attempts without an answer.", "upstream", upstreamErrors),
            byName("dovetail_gateway_retries_total", "Attempts after a request's first.", "upstream", retries),
            byName(
                "dovetail_gateway_circuit_openings_total", "Circuit breakers that opened.", "upstream", breakerOpenings),
            PrometheusFamily(
                name: "dovetail_gateway_connections", help: "Client connections that are open.", kind: .gauge,
                samples: [.init(value: Double(openClientConnections))]),
        ]
    }
}
