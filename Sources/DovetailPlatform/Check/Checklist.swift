import DovetailContracts
import DovetailModules
import DovetailResilience

/// The checklist of integration, each line ticked from the modules' parts and the configuration.
struct Checklist: Sendable {
    let configuration: PlatformConfiguration
    let catalog: ModuleCatalog

    var phases: [CheckReport.Phase] {
        [
            .init(name: "Before integration", items: [patterns, contracts, schemas, errorHandling]),
            .init(name: "During implementation", items: [retries, breakers, idempotency, tracing]),
            .init(name: "After integration", items: [tests, failures, performance, documentation]),
        ]
    }

    private var endpoints: [EndpointDescription] { catalog.looked.flatMap { $0.parts.contracts.flatMap(\.endpoints) } }

    private func item(_ name: String, present: [String], missing: [String]) -> CheckReport.Item {
        .init(
            name: name, mark: missing.isEmpty && !present.isEmpty ? .present : .missing, present: present,
            missing: missing)
    }

    private func names(_ isIn: (ModuleParts) -> Bool) -> String? {
        let names = catalog.looked.filter { isIn($0.parts) }.map(\.name)
        return names.isEmpty ? nil : names.joined(separator: ", ")
    }

    // MARK: Before

    private var patterns: CheckReport.Item {
        var present: [String] = []
        if let modules = names({ !$0.handlers.isEmpty }) { present.append("request and response: \(modules)") }
        if let modules = names({ $0.contracts.contains { !$0.events.isEmpty } }) {
            present.append("events: published by \(modules)")
        }
        for (name, parts) in catalog.looked {
            for subscription in parts.subscriptions {
                present.append(
                    "events: \(name) handles \(subscription.topics.map(\.description).joined(separator: ", ")) as '\(subscription.name)'"
                )
            }
        }
        if let events = configuration.events {
            present.append(
                "events: CloudEvents over HTTP on node \(events.node), for \(events.clients.count) clients and \(events.subscriptions.count) subscriptions"
            )
        }
        if let gateway = configuration.gateway {
            present.append("API gateway: \(gateway.routes.count) routes on node \(gateway.node)")
        }
        if let modules = names({ !$0.projections.isEmpty || !$0.inlineProjections.isEmpty }) {
            present.append("CQRS, with read models: \(modules)")
        }
        for (name, parts) in catalog.looked {
            for saga in parts.sagas.map(\.description) {
                present.append(
                    "saga: \(name) runs '\(saga.name)', \(saga.steps.count) steps, on \(saga.startedBy ?? "another saga")"
                )
            }
        }
        return item("Integration patterns chosen", present: present, missing: [])
    }

    private var contracts: CheckReport.Item {
        var present: [String] = []
        var missing: [String] = []
        for (name, parts) in catalog.looked {
            for contract in parts.contracts {
                let endpoints = contract.endpoints.count
                let events = contract.events.count
                if endpoints + events == 0 {
                    missing.append("\(name): the contract \(contract.identity) promises nothing")
                } else {
                    present.append("\(contract.identity): \(endpoints) endpoints, \(events) events")
                }
            }
        }
        return item("API contracts defined, with versions", present: present, missing: missing)
    }

    private var schemas: CheckReport.Item {
        var present: [String] = []
        var missing: [String] = []
        for (_, parts) in catalog.looked {
            for contract in parts.contracts where !contract.events.isEmpty {
                var known: [String] = []
                for event in contract.events {
                    do {
                        _ = try Schema.document(of: event.payload)
                        known.append("\(event.name) v\(event.version)")
                    } catch {
                        missing.append("\(contract.identity): \(event.name) has no schema: \(error)")
                    }
                }
                if !known.isEmpty { present.append("\(contract.identity): \(known.joined(separator: ", "))") }
            }
        }
        return item("Event schemas documented", present: present, missing: missing)
    }

    private var errorHandling: CheckReport.Item {
        let writing = endpoints.filter { !$0.takesQuery }
        let silent = writing.filter { $0.problems.isEmpty && $0.method != .delete }
        return item(
            "Error handling defined",
            present: [
                "every failure is answered as problem details (RFC 9457)",
                "\(endpoints.count { !$0.problems.isEmpty }) of \(endpoints.count) endpoints declare problems of their own",
            ],
            missing: silent.map {
                "\($0.contract.name)@\($0.contract.version): '\($0.key)' declares no problem; say what it refuses with .fails(…)"
            })
    }

    // MARK: During

    private var retries: CheckReport.Item {
        var present: [String] = []
        var missing: [String] = []
        for callee in catalog.called {
            let policy = configuration.policy(forModule: callee)
            guard let retry = policy.retry, retry.maximumAttempts > 1 else {
                missing.append("calls to \(callee) are not retried; give the policy `retry`")
                continue
            }
            guard let budget = policy.retryBudget else {
                missing.append(
                    "retries to \(callee) have no budget: in an outage they multiply the load; give `budget`")
                continue
            }
            present.append(
                "\(callee): \(retry.maximumAttempts) attempts, \(retry.baseDelay.briefly) to \(retry.maximumDelay.briefly) apart, "
                    + "at most \(Int((budget.ratio * 100).rounded())) % more calls")
        }
        return item("Retries, where the contract allows them", present: present, missing: missing)
    }

    private var breakers: CheckReport.Item {
        var present: [String] = []
        var missing: [String] = []
        for callee in catalog.called {
            guard let breaker = configuration.policy(forModule: callee).circuitBreaker else {
                missing.append("calls to \(callee) have no circuit breaker; give the policy `circuitBreaker`")
                continue
            }
            present.append(
                "\(callee): opens at \(Int((breaker.failureRateThreshold * 100).rounded())) % failures of at least "
                    + "\(breaker.minimumNumberOfCalls) calls, for \(breaker.openDuration.briefly) at first")
        }
        return item("Circuit breakers in place", present: present, missing: missing)
    }

    private var idempotency: CheckReport.Item {
        let repeatable = endpoints.count { $0.idempotency == .byNature }
        let keyed = endpoints.count { $0.idempotency == .key }
        var present = ["\(repeatable) endpoints by their method, \(keyed) by Idempotency-Key"]
        if catalog.looked.contains(where: { !$0.parts.sagas.isEmpty }) {
            present.append("every saga step is sent under a key of its own, the same at each attempt")
        }
        return item(
            "Idempotency ensured", present: present,
            missing: endpoints.filter { $0.idempotency == .none }.map {
                "\($0.contract.name)@\($0.contract.version): '\($0.key)' has an effect each time it is sent; mark it .idempotent()"
            })
    }

    private var tracing: CheckReport.Item {
        let telemetry = configuration.telemetry
        var present: [String] = []
        var missing: [String] = []
        if telemetry.tracingSample > 0 {
            present.append("\(percent(telemetry.tracingSample)) of traces kept, W3C trace context in and out")
        } else {
            missing.append("no trace is kept; set `telemetry.tracing.sample` above 0")
        }
        present.append("metrics at \(telemetry.prometheus.path)")
        if telemetry.accessLog != .off { present.append("access log") }
        return item("Logging and tracing", present: present, missing: missing)
    }

    private func percent(_ share: Double) -> String {
        share >= 1 ? "all" : "\((share * 1000).rounded() / 10) %"
    }

    // MARK: After

    private func unseen(_ name: String, _ hint: String) -> CheckReport.Item {
        .init(name: name, mark: .unseen, present: [hint])
    }

    private var tests: CheckReport.Item {
        unseen("Contract tests passing", "not seen from here: your test run says it")
    }

    private var failures: CheckReport.Item {
        unseen(
            "Integration tests cover failures",
            "not seen from here: kill nodes and let callees fail in your tests, and check what must hold")
    }

    private var performance: CheckReport.Item {
        unseen("Performance measured", "not seen from here: what calls cost at worst stands below")
    }

    private var documentation: CheckReport.Item {
        item(
            "Documentation up to date",
            present: ["OpenAPI 3.1 made of the contracts: `openapi`, and /openapi.json of each node"], missing: [])
    }
}

extension Duration {
    /// The duration in the largest unit in which it is a whole number: `250ms`, `15s`.
    var briefly: String {
        let (seconds, attoseconds) = components
        if attoseconds == 0 { return "\(seconds)s" }
        let milliseconds = Double(seconds) * 1000 + Double(attoseconds) / 1e15
        return milliseconds == milliseconds.rounded() ? "\(Int(milliseconds))ms" : "\(milliseconds)ms"
    }
}
