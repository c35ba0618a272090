import DovetailCore
import DovetailHTTP
import DovetailModules
import DovetailResilience

extension PlatformConfiguration {
    /// A client of a running node's admin door, and the connection to close after use.
    package func adminClient(of node: String, in folder: String) -> (client: Client<AdminAPI>, transport: HTTPTransport)
    {
        AdminAPI.client(at: adminAddress(of: node, in: folder))
    }
}

extension AdminAPI {
    /// A client of the admin door at an address, and the connection to close after use.
    public static func client(at address: HTTPAddress) -> (client: Client<AdminAPI>, transport: HTTPTransport) {
        let transport = HTTPTransport(to: address, callee: "admin")
        let callee = RemoteCallee(
            name: "admin", transport: transport,
            policies: PolicyExecutor(callee: "admin", policy: .unguarded), nodeToken: nil)
        return (Client(AdminAPI(), callee: callee, caller: "operator"), transport)
    }
}
