import DovetailCQRS
import DovetailCore
import DovetailEvents
import DovetailGateway
import DovetailModules
import DovetailObservability
import DovetailResilience
import DovetailSQLite
import DovetailSagas
import HTTPTypes

extension Node {
    /// The node's metrics in Prometheus' text format.
    func metrics() async -> RawResponse {
        var families =
            callFamilies + logFamilies + storeFamilies + messagingFamilies + (await subscriptionFamilies)
            + (await projectionFamilies) + (await sagaFamilies)
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

    /// The messaging metrics of OpenTelemetry's semantic conventions, in Prometheus' names.
    private var messagingFamilies: [PrometheusFamily] {
        let system = ("messaging_system", "dovetail")
        var consumed: [PrometheusFamily.Sample] = []
        var durations: [PrometheusFamily.Sample] = []
        for (subscription, counters) in bus.counters {
            let labels = [system, ("messaging_destination_subscription_name", subscription.name)]
            consumed.append(.init(labels: labels, value: Double(counters.succeeded)))
            for (kind, count) in counters.failed.sorted(by: { $0.key < $1.key }) {
                consumed.append(.init(labels: labels + [("error_type", kind)], value: Double(count)))
            }
            durations += counters.durations.samples(labels)
        }
        let appended = store.times?.appended.sorted { $0.key < $1.key } ?? []
        return [
            PrometheusFamily(
                name: "messaging_client_consumed_messages_total", help: "Attempts of subscriptions, by how they ended.",
                kind: .counter, samples: consumed),
            PrometheusFamily(
                name: "messaging_process_duration_seconds", help: "How long handlers took.", kind: .histogram,
                samples: durations),
            PrometheusFamily(
                name: "messaging_client_sent_messages_total", help: "Events appended to the log, by topic.",
                kind: .counter,
                samples: appended.map {
                    .init(labels: [system, ("messaging_destination_name", $0.key)], value: Double($0.value))
                }),
        ]
    }

    /// What the disk does.
    private var storeFamilies: [PrometheusFamily] {
        guard let times = store.times else { return [] }
        let syncs = SyncTimes.now
        return [
            PrometheusFamily(
                name: "dovetail_log_commit_duration_seconds", help: "A commit of the log, until it is durable.",
                kind: .histogram, samples: times.commits.samples([])),
            PrometheusFamily(
                name: "dovetail_log_committed_requests_total", help: "Requests that commits had together.",
                kind: .counter, samples: [.init(value: Double(times.requests))]),
            PrometheusFamily(
                name: "dovetail_log_checkpoint_duration_seconds",
                help: "Moving pages from the write-ahead log into the database.", kind: .histogram,
                samples: times.checkpoints.samples([])),
            PrometheusFamily(
                name: "dovetail_disk_sync_duration_seconds",
                help: "An fsync of a write-ahead log, since the process began.", kind: .histogram,
                samples: PrometheusFamily.samples(
                    bounds: SyncTimes.bounds, buckets: syncs.buckets, sum: syncs.seconds, labels: [])),
            PrometheusFamily(
                name: "dovetail_log_reclaimed_events_total", help: "Events that retention has removed.", kind: .counter,
                samples: [.init(value: Double(retention.status.reclaimed))]),
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

    /// Whether read models show all that they should.
    private var projectionFamilies: [PrometheusFamily] {
        get async {
            var builds: [(module: String, build: ProjectionBuild)] = []
            for runtime in runtimes {
                // While a database cannot be read there are no figures of it.
                let found = (try? await runtime.builds()) ?? []
                builds += found.map { (runtime.module, $0) }
            }
            func family(_ name: String, _ help: String, _ value: (ProjectionBuild) -> Double) -> PrometheusFamily {
                PrometheusFamily(
                    name: name, help: help, kind: .gauge,
                    samples: builds.map { module, build in
                        .init(labels: [("module", module), ("projection", build.label)], value: value(build))
                    })
            }
            return [
                family(
                    "dovetail_projection_parked_events", "Events put aside because they could not be decoded."
                ) { Double($0.parked) },
                family("dovetail_projection_blocked", "1 while an event holds a projection up.") {
                    $0.blocked == nil ? 0 : 1
                },
                family(
                    "dovetail_projection_complete",
                    "1 if a projection shows all that it should: nothing put aside, not held up, kept up to date."
                ) { $0.isComplete ? 1 : 0 },
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
    /// What upstreams were asked and have answered, and how their servers are.
    private var upstreamFamilies: [PrometheusFamily] {
        let upstreams = upstreams.sorted { $0.key < $1.key }
        let servers = servers.sorted { $0.key < $1.key }
        func bytes(_ name: String, _ help: String, _ value: (Upstream) -> UInt64) -> PrometheusFamily {
            PrometheusFamily(
                name: name, help: help, kind: .counter,
                samples: upstreams.map { .init(labels: [("upstream", $0.key)], value: Double(value($0.value))) })
        }
        return [
            PrometheusFamily(
                name: "dovetail_gateway_upstream_response_seconds",
                help: "From an attempt's start to the head of its answer.", kind: .histogram,
                samples: upstreams.flatMap { name, upstream in
                    PrometheusFamily.samples(
                        bounds: Route.bounds, buckets: upstream.latency, sum: upstream.latencySum,
                        labels: [("upstream", name)])
                }),
            bytes("dovetail_gateway_upstream_sent_bytes_total", "Bytes of requests, heads and all.") { $0.bytesSent },
            bytes("dovetail_gateway_upstream_received_bytes_total", "Bytes of answers, heads and all.") {
                $0.bytesReceived
            },
            PrometheusFamily(
                name: "dovetail_gateway_upstream_servers",
                help: "Servers: available, unwell by their probes, or ejected because of their answers.", kind: .gauge,
                samples: servers.flatMap { name, servers in
                    [("available", servers.available), ("unwell", servers.unwell), ("ejected", servers.ejected)].map {
                        .init(labels: [("upstream", name), ("state", $0.0)], value: Double($0.1))
                    }
                }),
            PrometheusFamily(
                name: "dovetail_gateway_upstream_ejections_total",
                help: "How often a server was left out because of its answers.", kind: .counter,
                samples: servers.map {
                    .init(labels: [("upstream", $0.key)], value: Double($0.value.ejections))
                }),
        ]
    }

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
        func gauges(_ name: String, _ help: String, _ values: [String: Int]) -> PrometheusFamily {
            PrometheusFamily(
                name: name, help: help, kind: .gauge,
                samples: values.sorted { $0.key < $1.key }.map {
                    .init(labels: [("upstream", $0.key)], value: Double($0.value))
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
        ] + upstreamFamilies + [
            byName("dovetail_gateway_mirrored_total", "Requests that were copied.", "upstream", mirrored),
            byName(
                "dovetail_gateway_unmirrored_total", "Requests too large to be copied, or too many.", "upstream",
                unmirrored),
            byName("dovetail_gateway_hedges_total", "Second attempts because of a slow server.", "upstream", hedges),
            byName("dovetail_gateway_hedges_won_total", "Second attempts that were first.", "upstream", hedgesWon),
            byName(
                "dovetail_gateway_hedges_refused_total", "Second attempts beyond the budget.", "upstream", hedgesRefused
            ),
            gauges("dovetail_gateway_upstream_in_flight", "Requests in flight, where they are limited.", inFlight),
            gauges("dovetail_gateway_upstream_in_flight_limit", "The limit as it stands.", inFlightLimits),
            byName(
                "dovetail_gateway_would_refuse_total", "Requests beyond an adaptive limit that is only observed.",
                "upstream", wouldRefuse),
            PrometheusFamily(
                name: "dovetail_gateway_header_fields_dropped_total",
                help: "Fields of requests that were dropped because of an underscore in their names.", kind: .counter,
                samples: [.init(value: Double(droppedFields))]),
            .init(
                name: "dovetail_gateway_connections_refused_total", help: "Connections beyond the limit.",
                kind: .counter, samples: [.init(value: Double(refusedConnections))]),
            PrometheusFamily(
                name: "dovetail_gateway_loop_lag_seconds", help: "How late the latest event loop is.", kind: .gauge,
                samples: [.init(value: loopLag)]),
            PrometheusFamily(
                name: "dovetail_gateway_cache_hits_total", help: "Requests answered from the cache.", kind: .counter,
                samples: [.init(value: Double(cacheHits))]),
            PrometheusFamily(
                name: "dovetail_gateway_cache_bytes", help: "Memory that kept answers take.", kind: .gauge,
                samples: [.init(value: Double(cachedBytes))]),
            PrometheusFamily(
                name: "dovetail_gateway_connections", help: "Client connections that are open.", kind: .gauge,
                samples: [.init(value: Double(openClientConnections))]),
        ]
    }
}

extension DurationHistogram {
    fileprivate func samples(_ labels: [(name: String, value: String)]) -> [PrometheusFamily.Sample] {
        PrometheusFamily.samples(bounds: DurationHistogram.bounds, buckets: buckets, sum: seconds, labels: labels)
    }
}

extension PrometheusFamily {
    /// A histogram's samples, from counts that are not summed up; the last bucket has no bound.
    fileprivate static func samples(
        bounds: [Double], buckets: [UInt64], sum: Double, labels: [(name: String, value: String)]
    ) -> [Sample] {
        var samples: [Sample] = []
        var count: UInt64 = 0
        for (index, bucket) in buckets.enumerated() {
            count += bucket
            let bound = index < bounds.count ? "\(bounds[index])" : "+Inf"
            samples.append(.init(suffix: "_bucket", labels: labels + [("le", bound)], value: Double(count)))
        }
        samples.append(.init(suffix: "_sum", labels: labels, value: sum))
        samples.append(.init(suffix: "_count", labels: labels, value: Double(count)))
        return samples
    }
}
