import DovetailGateway
import DovetailHTTP
import ServiceLifecycle

/// A way into a node.
protocol Door: Service {
    /// Suspends until it is open; throws what keeps it shut.
    func opened() async throws
}

extension HTTPServer: Door {
    func opened() async throws { _ = try await boundAddress }
}

/// The gateway as a door: an address that is taken is said to be whose.
struct GatewayDoor: Door {
    let gateway: Gateway
    let address: HTTPAddress

    func run() async throws {
        do {
            try await gateway.run()
        } catch let error as GatewayListenError where error.isInUse {
            throw ListenError.inUse(address)
        }
    }

    func opened() async throws { _ = try await gateway.boundPort }
}

/// Tells when every door is open, and then waits with the others.
struct Announcement: Service {
    let doors: [any Door]
    let onServing: @Sendable () async -> Void

    func run() async throws {
        await cancelWhenGracefulShutdown {
            do {
                for door in doors { try await door.opened() }
            } catch {
                return  // The door itself says what keeps it shut, and ends the node.
            }
            await onServing()
        }
        try? await gracefulShutdown()
    }
}
