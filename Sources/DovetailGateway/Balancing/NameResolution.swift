import DovetailCore
import Logging
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Finds the addresses of a name; throws if there are none to be found.
public typealias NameResolver = @Sendable (_ name: String) async throws -> [String]

/// Resolves the names of servers in the background, each upstream's in its interval, and tells of what it found.
final class NameResolution: Sendable {
    private struct Watch {
        let names: [String]
        let interval: Duration
        let task: Task<Void, Never>
    }

    private let watches = Mutex<[String: Watch]>([:])
    private let resolve: NameResolver
    private let logger: Logger
    private let found: @Sendable (_ name: String, _ addresses: [String]) async -> Void

    init(
        resolve: @escaping NameResolver, logger: Logger,
        found: @escaping @Sendable (_ name: String, _ addresses: [String]) async -> Void
    ) {
        self.resolve = resolve
        self.logger = logger
        self.found = found
    }

    /// Looks after the names of `configuration` from now on; those that did not change go on.
    func apply(_ configuration: GatewayConfiguration) {
        watches.withLock { watches in
            var next: [String: Watch] = [:]
            for upstream in configuration.upstreams {
                let names = ResolvedServers.names(of: upstream)
                guard let interval = upstream.resolveInterval, !names.isEmpty else { continue }
                if let known = watches[upstream.name], known.names == names, known.interval == interval {
                    next[upstream.name] = known
                    watches[upstream.name] = nil
                } else {
                    next[upstream.name] = Watch(
                        names: names, interval: interval,
                        task: Task { await watch(names, of: upstream.name, every: interval) })
                }
            }
            for watch in watches.values { watch.task.cancel() }
            watches = next
        }
    }

    func stop() {
        watches.withLock { watches in
            for watch in watches.values { watch.task.cancel() }
            watches = [:]
        }
    }

    private func watch(_ names: [String], of upstream: String, every interval: Duration) async {
        while !Task.isCancelled {
            for name in names {
                do {
                    let addresses = try await resolve(name)
                    guard !Task.isCancelled else { return }
                    await found(name, addresses)
                } catch {
                    guard !Task.isCancelled else { return }
                    logger.warning(
                        "a server's name could not be resolved; its addresses stay as they were",
                        metadata: ["upstream": "\(upstream)", "name": "\(name)", "error": "\(error)"])
                }
            }
            // Not all gateways at the same moment.
            try? await Task.sleep(for: interval * Double.random(in: 0.9...1.1))
        }
    }

    /// Asks the system, on a thread where it may take its time.
    static let system: NameResolver = { name in
        try await NIOThreadPool.singleton.runIfActive { try addresses(of: name) }
    }

    private static func addresses(of name: String) throws -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = streamType
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        guard code == 0, let first = list else {
            throw GatewayConfigurationError("the name '\(name)' is not known: \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(first) }
        var addresses: [String] = []
        var next: UnsafeMutablePointer<addrinfo>? = first
        while let entry = next {
            if let address = text(of: entry.pointee) { addresses.append(address) }
            next = entry.pointee.ai_next
        }
        return addresses
    }

    private static func text(of entry: addrinfo) -> String? {
        guard let address = entry.ai_addr else { return nil }
        switch entry.ai_family {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                AddressRange.text(of: withUnsafeBytes(of: pointer.pointee.sin_addr) { Array($0) })
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                AddressRange.text(of: withUnsafeBytes(of: pointer.pointee.sin6_addr) { Array($0) })
            }
        default: return nil
        }
    }

    private static var streamType: CInt {
        #if canImport(Glibc)
            CInt(SOCK_STREAM.rawValue)
        #else
            SOCK_STREAM
        #endif
    }
}
