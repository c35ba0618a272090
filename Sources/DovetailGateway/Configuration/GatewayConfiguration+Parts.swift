extension GatewayConfiguration {
    /// Throws ``GatewayConfigurationError`` for a batch or an aggregate that could not be answered.
    func validateGathering(_ route: Route) throws(GatewayConfigurationError) {
        func refuse(_ reason: String) -> GatewayConfigurationError {
            GatewayConfigurationError("route '\(route.id)' \(reason)")
        }
        switch route.destination {
        case .batch(let policy):
            guard (1...100).contains(policy.maximum), policy.maximumAnswerBytes > 0 else {
                throw refuse(
                    "takes batches of \(policy.maximum), which is not between 1 and 100, or answers of no size")
            }
            guard route.methods == [.post] else { throw refuse("takes batches, which come by POST alone") }
        case .aggregate(let plan):
            guard (1...AggregatePlan.maximumParts).contains(plan.parts.count), plan.maximumAnswerBytes > 0 else {
                throw refuse("has \(plan.parts.count) parts, which is not between 1 and \(AggregatePlan.maximumParts)")
            }
            guard !route.methods.isEmpty, route.methods.isSubset(of: [.get, .head]) else {
                throw refuse("is made of several answers, which is got by GET alone")
            }
            guard Set(plan.parts.map(\.name)).count == plan.parts.count,
                !plan.parts.contains(where: { $0.name == AggregatePlan.errors || $0.name.isEmpty })
            else {
                throw refuse("has two parts of one name, or one that is named '\(AggregatePlan.errors)' or nothing")
            }
            _ = try GatheringPlan(plan, route: route)
        default: return
        }
        guard route.rewrite == .none, route.requestHeaders == nil, !route.allowsWebSocket, route.cache == nil else {
            throw refuse("is answered by other routes: paths, headers and what is kept are theirs to say")
        }
        guard route.timeout != nil else { throw refuse("is answered by other routes, and needs a timeout") }
    }

    /// Throws ``GatewayConfigurationError`` for routes that share limits which are not the same.
    func validateSections() throws(GatewayConfigurationError) {
        for (section, parts) in Dictionary(grouping: routes, by: \.limitedAs) {
            guard let first = parts.first else { continue }
            for part in parts.dropFirst()
            where part.rateLimits != first.rateLimits || part.maximumInFlight != first.maximumInFlight {
                throw GatewayConfigurationError(
                    "routes '\(first.id)' and '\(part.id)' share the limits of '\(section)', and do not say the same of them"
                )
            }
        }
    }

    /// Throws ``GatewayConfigurationError`` for an authenticator that nobody could satisfy.
    func validateAuthenticators() throws(GatewayConfigurationError) {
        for (name, authenticator) in authenticators {
            let flaw: String? =
                switch authenticator {
                case .forward(let forward): forward.flaw
                case .signatures(let signatures): signatures.flaw
                case .certificates(let clients) where tls?.clientAuthorities == nil:
                    "knows \(clients.count) by certificates, and the listener has no 'clientAuthorities' to believe them by"
                default: nil
                }
            if let flaw { throw GatewayConfigurationError("authenticator '\(name)' \(flaw)") }
        }
    }
}
