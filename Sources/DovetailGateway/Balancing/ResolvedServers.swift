/// Names of servers and the addresses they have: which servers an upstream has by them.
struct ResolvedServers: Sendable, Equatable {
    /// By name; a name whose addresses are not known yet is not there.
    private(set) var addresses: [String: [String]] = [:]

    /// Takes over what a resolution has brought; true if it changes anything. One that has brought nothing changes nothing.
    mutating func learn(_ found: [String], of name: String) -> Bool {
        // Of a name with addresses of both kinds those are taken that all networks carry.
        let four = found.filter { !$0.contains(":") }
        let found = Array(Set(four.isEmpty ? found : four)).sorted()
        guard !found.isEmpty, addresses[name] != found else { return false }
        addresses[name] = found
        return true
    }

    /// Forgets names that nobody asks for any more.
    mutating func keepOnly(_ names: Set<String>) {
        addresses = addresses.filter { names.contains($0.key) }
    }

    /// The upstream with a server for each address of each name. The weight is each address's.
    func applied(to upstream: Upstream) -> Upstream {
        guard upstream.resolveInterval != nil else { return upstream }
        var resolved = upstream
        var seen: Set<String> = []
        resolved.servers = upstream.servers.flatMap { server -> [Upstream.Server] in
            guard let addresses = addresses[server.host] else { return [server] }
            return addresses.map { address in
                var one = server
                one.host = address
                one.resolvedFrom = server.host
                return one
            }
        }.filter { seen.insert("\($0.host) \($0.port)").inserted }
        return resolved
    }

    /// The names of an upstream that are looked up. `localhost` is this machine, by whichever of its addresses somebody listens.
    static func names(of upstream: Upstream) -> [String] {
        guard upstream.resolveInterval != nil else { return [] }
        return Array(
            Set(upstream.servers.map(\.host).filter { $0 != "localhost" && AddressRange.bytes(of: $0) == nil })
        ).sorted()
    }
}
