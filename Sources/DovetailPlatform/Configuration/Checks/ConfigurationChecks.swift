/// Finds what contradicts itself between the sections of a file, and between the file and the program's modules.
struct ConfigurationChecks {
    let configuration: PlatformConfiguration
    /// The file itself: names that are there count, even if what they name could not be read.
    let root: ConfigurationNode
    let issues: IssueCollector

    /// Values that could not be read: one issue with them is enough.
    private let unread: Set<ConfigurationPath>
    private let top = ConfigurationPath.top

    init(_ configuration: PlatformConfiguration, root: ConfigurationNode, issues: IssueCollector) {
        self.configuration = configuration
        self.root = root
        self.issues = issues
        unread = issues.paths
    }

    func run(modules: [DeclaredModule]?) {
        checkPlacement(modules)
        checkAddresses()
        checkStores()
        checkReferences(modules)
        checkEvents()
        checkRoutes(modules)
        checkHeaderNames()
    }

    /// Reports about a value that the file holds and that was read.
    private func report(_ message: String, at path: ConfigurationPath) {
        guard let node = root[path], !unread.contains(path) else { return }
        issues.add(message, at: path, position: node.position)
    }

    private func names(at path: ConfigurationPath) -> [String] { root[path]?.keys ?? [] }

    private func checkName(_ name: String, isAmong names: [String], what: String, at path: ConfigurationPath) {
        guard !names.contains(name), let node = root[path] else { return }
        var message = "no \(what) is named \(node.found)"
        if let suggestion = Spelling.nearest(to: name, among: names) { message += "; did you mean '\(suggestion)'?" }
        report(message, at: path)
    }

    private func checkPlacement(_ modules: [DeclaredModule]?) {
        var places: [String: String] = [:]
        for node in configuration.nodes {
            let path = top.key("nodes").key(node.name).key("modules")
            for (index, module) in node.modules.enumerated() {
                if let modules {
                    checkName(
                        module, isAmong: modules.map(\.name), what: "module of the program", at: path.index(index))
                }
                if let other = places[module] {
                    let place = other == node.name ? "twice on this node" : "on node '\(other)' too"
                    report("module '\(module)' is \(place); a module runs in one place", at: path.index(index))
                }
                places[module] = node.name
            }
        }
        for module in modules ?? [] where places[module.name] == nil {
            report(
                "module '\(module.name)' of the program is on no node; add it to one node's 'modules'",
                at: top.key("nodes"))
        }
    }

    private func checkAddresses() {
        var listeners: [(path: ConfigurationPath, address: ListenAddress, url: ServerURL?)] = []
        for node in configuration.nodes {
            guard let listen = node.listen else { continue }
            let path = top.key("nodes").key(node.name)
            listeners.append((path.key("listen"), listen, node.url))
            if !listen.isLocal, root[top.key("security").key("nodeToken")] == nil {
                report("a node that listens beyond its machine needs 'security.nodeToken'", at: path.key("listen"))
            }
            if listen.isWildcard, node.url == nil, configuration.nodes.count > 1 {
                report("the other nodes cannot call \(listen); say in 'url' how they reach it", at: path.key("listen"))
            }
        }
        if let gateway = configuration.gateway {
            listeners.append((top.key("gateway").key("listen"), gateway.listen, nil))
        }
        if let metrics = configuration.telemetry.prometheus.listen {
            listeners.append((top.key("telemetry").key("prometheus").key("listen"), metrics, nil))
        }
        if let events = configuration.events {
            listeners.append((top.key("events").key("listen"), events.listen, nil))
        }
        listeners.append((top.key("admin").key("listen"), configuration.admin.listen, nil))
        for (index, listener) in listeners.enumerated() {
            let taken = listeners[..<index].first { other in
                // Nodes that name different hosts are on different machines.
                let areApart = listener.url != nil && other.url != nil && listener.url?.host != other.url?.host
                return listener.address.collides(with: other.address) && !areApart
            }
            guard let taken else { continue }
            let path = root[listener.path] == nil ? taken.path : listener.path
            let other = root[listener.path] == nil ? listener.path : taken.path
            report("\(listener.address) is what \(other) listens on too", at: path)
        }
    }

    private func checkStores() {
        var files: [String: String] = [:]
        for node in configuration.nodes {
            guard let file = node.store.path else { continue }
            if let other = files[file] {
                let path = top.key("nodes").key(node.name).key("store").key("path")
                report("node '\(other)' has its log in this file; each node has a log of its own", at: path)
            }
            files[file] = node.name
        }
    }

    private func checkReferences(_ modules: [DeclaredModule]?) {
        let policies = names(at: top.key("policies"))
        if let gateway = configuration.gateway {
            checkName(
                gateway.node, isAmong: names(at: top.key("nodes")), what: "node", at: top.key("gateway").key("node"))
        }
        for upstream in configuration.upstreams.values {
            guard let policy = upstream.policy else { continue }
            let path = top.key("upstreams").key(upstream.name).key("policy")
            checkName(policy, isAmong: policies, what: "policy", at: path)
        }
        checkPoliciesOfUpstreams()
        let known = modules?.map(\.name) ?? configuration.nodes.flatMap(\.modules)
        for module in names(at: top.key("calls")) {
            let path = top.key("calls").key(module)
            if let policy = configuration.calls[module] {
                checkName(policy, isAmong: policies, what: "policy", at: path)
            }
            if !known.contains(module) {
                let suggestion = Spelling.nearest(to: module, among: known).map { "; did you mean '\($0)'?" } ?? ""
                report("no module is named \(quoted(module))\(suggestion)", at: path)
            }
        }
    }

    /// What a policy says and the gateway cannot do for an upstream is said elsewhere.
    private func checkPoliciesOfUpstreams() {
        let instead = [
            ("timeout", "say it as the 'timeout' of its routes"),
            ("rateLimit", "say it as the 'rateLimit' of its routes"),
        ]
        let hasModules = configuration.nodes.contains { !$0.modules.isEmpty }
        for upstream in configuration.upstreams.values.sorted(by: { $0.name < $1.name }) {
            // What all go under by default is meant for calls between modules, where there are any.
            guard let policy = upstream.policy ?? (hasModules ? nil : "default") else { continue }
            for (key, advice) in instead {
                report(
                    "the upstream '\(upstream.name)' goes under this policy, and of an upstream '\(key)' has no effect; \(advice)",
                    at: top.key("policies").key(policy).key(key))
            }
        }
    }

    private func checkEvents() {
        guard let events = configuration.events else { return }
        let path = top.key("events")
        checkName(events.node, isAmong: names(at: top.key("nodes")), what: "node", at: path.key("node"))
        for subscription in events.subscriptions {
            guard case .pull(let client, _) = subscription.way else { continue }
            checkName(
                client, isAmong: names(at: path.key("clients")), what: "client",
                at: path.key("subscriptions").key(subscription.name).key("client"))
        }
        var tokens: [Secret: String] = [:]
        for client in events.clients {
            if let other = tokens.updateValue(client.name, forKey: client.token) {
                report(
                    "the client '\(other)' has the same token; nothing tells them apart",
                    at: path.key("clients").key(client.name).key("token"))
            }
        }
    }

    private func checkRoutes(_ modules: [DeclaredModule]?) {
        guard let gateway = configuration.gateway else { return }
        let authenticators = names(at: top.key("gateway").key("authentication"))
        let provided = modules?.flatMap(\.contracts)
        var taken: [String: [Int]] = [:]
        for (index, route) in gateway.routes.enumerated() {
            let path = top.key("gateway").key("routes").index(index)
            if case .authenticator(let name) = route.authentication {
                checkName(name, isAmong: authenticators, what: "authenticator", at: path.key("authentication"))
            }
            if let mirror = route.mirror {
                checkName(
                    mirror.upstream, isAmong: names(at: top.key("upstreams")), what: "upstream",
                    at: path.key("mirror").key("upstream"))
            }
            switch route.target {
            case .upstream(let name):
                checkName(name, isAmong: names(at: top.key("upstreams")), what: "upstream", at: path.key("upstream"))
                checkIsReached(index, route, &taken, in: gateway, at: path)
            case .split(let shares):
                let upstreams = names(at: top.key("upstreams"))
                for share in shares where !upstreams.contains(share.upstream) {
                    let hint = Spelling.nearest(to: share.upstream, among: upstreams).map { "; did you mean '\($0)'?" }
                    report(
                        "no upstream is named \(quoted(share.upstream))\(hint ?? "")",
                        at: path.key("split").key(share.upstream))
                }
                checkIsReached(index, route, &taken, in: gateway, at: path)
            case .versions(let versions):
                for version in versions.versions {
                    checkName(
                        version.upstream, isAmong: names(at: top.key("upstreams")), what: "upstream",
                        at: path.key("versions").key("of").key(version.name).key("upstream"))
                }
                checkIsReached(index, route, &taken, in: gateway, at: path)
            case .redirect, .batch, .aggregate: checkIsReached(index, route, &taken, in: gateway, at: path)
            case .contract(let contract):
                guard let provided, !provided.contains(contract) else { continue }
                let majors = provided.filter { $0.name == contract.name }.map(\.description)
                let nearest = Spelling.nearest(to: contract.description, among: provided.map(\.description))
                let known = majors.isEmpty ? nearest.map { [$0] } ?? [] : majors.sorted()
                let hint = known.isEmpty ? "" : "; there is \(known.joined(separator: ", "))"
                report("no module provides the contract \(contract)\(hint)", at: path.key("contract"))
            }
        }
    }
}

extension ConfigurationChecks {
    /// What is asked of fields that are dropped never holds.
    private func checkHeaderNames() {
        guard let gateway = configuration.gateway, !gateway.underscoresInHeaders else { return }
        func check(_ name: String, at path: ConfigurationPath) {
            guard name.contains("_") else { return }
            report(
                "fields of clients with an underscore in their names are dropped, so this one is never there; rename it, or say 'underscoresInHeaders: true' of the gateway",
                at: path)
        }
        let top = ConfigurationPath.top.key("gateway")
        for (name, authenticator) in gateway.authentication {
            guard case .apiKeys(let header, _) = authenticator else { continue }
            check(header, at: top.key("authentication").key(name).key("apiKeys").key("header"))
        }
        for (index, route) in gateway.routes.enumerated() {
            let path = top.key("routes").index(index)
            for condition in route.headers { check(condition.name, at: path.key("headers").key(condition.name)) }
            if case .versions(let versions) = route.target, case .header(let name) = versions.by {
                check(name, at: path.key("versions").key("by"))
            }
        }
    }

    private func checkIsReached(
        _ index: Int, _ route: PlatformConfiguration.Route, _ taken: inout [String: [Int]],
        in gateway: PlatformConfiguration.Gateway, at path: ConfigurationPath
    ) {
        let conditions = (route.headers + route.query).map { "\($0.name)=\($0.value ?? "")" }.sorted()
        let place = "\(route.host ?? "") \(route.path) \(conditions)"
        if let same = taken[place]?.first(where: { gateway.routes[$0].sharesMethods(with: route) }) {
            let what = route.headers.isEmpty && route.query.isEmpty ? "" : " and conditions"
            report(
                "routes[\(same)] has the same host, path\(what.isEmpty ? " and methods" : ", methods\(what)"); one would never be taken",
                at: path)
        }
        taken[place, default: []].append(index)
    }
}

extension PlatformConfiguration.Route {
    fileprivate func sharesMethods(with other: PlatformConfiguration.Route) -> Bool {
        methods.isEmpty || other.methods.isEmpty || !Set(methods).isDisjoint(with: other.methods)
    }
}
