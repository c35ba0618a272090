import DovetailContracts
import DovetailCore
import DovetailHTTP
import DovetailModules
import DovetailResilience

/// Takes a request to a handler in this process, as if it had come over a socket.
struct DirectTransport: RawTransport {
    let handler: any RawHandler

    func send(_ request: RawRequest, deadline: MonotonicTime?) async throws -> RawResponse {
        await handler.respond(to: request)
    }
}

extension Client<AdminAPI> {
    /// A client of the admin door of a node that does not run: its store is opened here, and closed by `close`.
    ///
    /// Throws what keeps the store from being opened; `locked` if the node runs after all.
    static func ofStopped(
        _ configuration: PlatformConfiguration, modules: [Module], node name: String, folder: String
    ) async throws -> (client: Client<AdminAPI>, vault: any PersonalVault, close: @Sendable () async -> Void) {
        var options = Node.Options()
        options.folder = folder
        let telemetry = try Telemetry(configuration, node: name)
        let node = try await Node.start(
            configuration, modules: modules, node: name, telemetry: telemetry, options: options)
        let callee = RemoteCallee(
            name: "admin", transport: DirectTransport(handler: try AdminDoor(node: node, isDirect: true)),
            policies: PolicyExecutor(callee: "admin", policy: .unguarded), nodeToken: nil)
        return (
            Client(AdminAPI(), callee: callee, caller: "operator"),
            node.store.keys,
            {
                for transport in node.transports { try? await transport.shutdown() }
                try? await node.webhooks?.shutdown()
                await node.store.close()
            }
        )
    }
}
