extension Upstream {
    /// Throws what is wrong with its limits, hedging, slow start and resolution.
    func validateTraffic() throws(GatewayConfigurationError) {
        if let limit = maximumInFlight, let flaw = limit.flaw {
            throw GatewayConfigurationError("upstream '\(name)' limits what is in flight \(flaw)")
        }
        if let limit = adaptiveInFlight?.limit,
            limit.minimum < 1 || limit.maximum < limit.minimum || limit.window <= .zero || limit.minimumSamples < 1
                || !(limit.tolerance >= 1)
        {
            throw GatewayConfigurationError(
                "upstream '\(name)' has an adaptive limit whose bounds are below one or crossed, or without time or tolerance"
            )
        }
        if let attemptTimeout, attemptTimeout <= .zero {
            throw GatewayConfigurationError("upstream '\(name)' gives an attempt no time")
        }
        if let hedge, hedge.after <= .zero {
            throw GatewayConfigurationError("upstream '\(name)' hedges after no time")
        }
        if let slowStart, slowStart <= .zero {
            throw GatewayConfigurationError("upstream '\(name)' has a slow start that takes no time")
        }
        if let resolveInterval, resolveInterval <= .zero {
            throw GatewayConfigurationError("upstream '\(name)' resolves its names without a pause")
        }
    }
}

extension Route {
    /// Throws what is wrong with its limits and its mirror.
    func validateTraffic() throws(GatewayConfigurationError) {
        if let limit = maximumInFlight, let flaw = limit.flaw {
            throw GatewayConfigurationError("route '\(id)' limits what is in flight \(flaw)")
        }
        if let flaw = deprecation?.flaw { throw GatewayConfigurationError("route '\(id)' is deprecated \(flaw)") }
        if let mirror, !(0...1).contains(mirror.share) || mirror.maximumBodyBytes < 0 || mirror.maximumInFlight < 1 {
            throw GatewayConfigurationError(
                "route '\(id)' mirrors a share that is none, bodies below zero, or none at a time")
        }
    }
}

extension InFlightPolicy {
    fileprivate var flaw: String? {
        maximum < 1 ? "to none" : maximumWaiting < 0 || longestWait < .zero ? "with a queue or a wait below zero" : nil
    }
}
