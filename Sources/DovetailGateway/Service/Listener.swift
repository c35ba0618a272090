import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An address that could not be listened on.
public struct GatewayListenError: Error, Sendable, CustomStringConvertible {
    /// What happened, with the address.
    public let description: String
    /// Whether somebody else listens there.
    public let isInUse: Bool
}

/// The listening sockets of a gateway.
///
/// On Linux each loop has one of its own (SO_REUSEPORT), so that connections are accepted where they are served and no
/// loop is woken for another's. Elsewhere that option does not spread connections: one loop accepts for all.
struct Listener {
    private let descriptors: [CInt]
    let port: Int

    #if os(Linux)
        private static let isPerLoop = true
    #else
        private static let isPerLoop = false
    #endif

    /// Binds `listen` for `loops` loops.
    init(_ listen: GatewayConfiguration.Listen, loops: Int) throws(GatewayListenError) {
        let address: SocketAddress
        do {
            address = try SocketAddress.makeAddressResolvingHost(listen.host, port: listen.port)
        } catch {
            throw GatewayListenError(
                description: "cannot listen on \(listen.host):\(listen.port): the host cannot be resolved",
                isInUse: false)
        }
        // Without the option first: with it, a port that another process listens on with it would be shared, unnoticed.
        let probe = try Listener.bind(address, listen, shares: false)
        port = Listener.port(of: probe) ?? listen.port
        guard Listener.isPerLoop, loops > 1 else {
            descriptors = [probe]
            return
        }
        close(probe)
        var shared = address
        shared.port = port
        var descriptors: [CInt] = []
        do throws(GatewayListenError) {
            for _ in 0..<loops { descriptors.append(try Listener.bind(shared, listen, shares: true)) }
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
        self.descriptors = descriptors
    }

    /// Channels that accept for `group`, whose loops are as many as were bound for.
    func channels(
        on group: MultiThreadedEventLoopGroup,
        initialise: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> [any Channel] {
        var channels: [any Channel] = []
        for (descriptor, loop) in zip(descriptors, group.makeIterator()) {
            let childGroup: any EventLoopGroup = descriptors.count > 1 ? loop : group
            channels.append(
                try await ServerBootstrap(group: loop, childGroup: childGroup)
                    .serverChannelOption(.maxMessagesPerRead, value: 32)
                    .childChannelOption(.autoRead, value: false)
                    .childChannelOption(.allowRemoteHalfClosure, value: true)
                    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .childChannelOption(.socketOption(.so_keepalive), value: 1)
                    .childChannelOption(.writeBufferWaterMark, value: .init(low: 32_768, high: 65_536))
                    .childChannelInitializer(initialise)
                    .withBoundSocket(descriptor)
                    .get())
        }
        return channels
    }

    private static func bind(
        _ address: SocketAddress, _ listen: GatewayConfiguration.Listen, shares: Bool
    ) throws(GatewayListenError) -> CInt {
        let family: CInt = address.protocol == .inet6 ? AF_INET6 : AF_INET
        #if os(Linux)
            let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        #else
            let kind = SOCK_STREAM
        #endif
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { throw refuse(listen, errno) }
        var yes: CInt = 1
        let size = socklen_t(MemoryLayout<CInt>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, size)
        if shares { setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &yes, size) }
        let isBound = address.withSockAddr { pointer, length in systemBind(descriptor, pointer, socklen_t(length)) }
        guard isBound == 0, systemListen(descriptor, 4096) == 0 else {
            let code = errno
            close(descriptor)
            throw refuse(listen, code)
        }
        return descriptor
    }

    private static func refuse(_ listen: GatewayConfiguration.Listen, _ code: CInt) -> GatewayListenError {
        let reason = String(cString: strerror(code)).lowercased()
        return GatewayListenError(
            description: "cannot listen on \(listen.host):\(listen.port): \(reason)", isInUse: code == EADDRINUSE)
    }

    private static func port(of descriptor: CInt) -> Int? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getsockname(descriptor, address, &length) == 0 else { return nil }
                if CInt(address.pointee.sa_family) == AF_INET6 {
                    return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                        Int(UInt16(bigEndian: $0.pointee.sin6_port))
                    }
                }
                return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    Int(UInt16(bigEndian: $0.pointee.sin_port))
                }
            }
        }
    }
}

/// The system's `bind` and `listen`, which members and parameters of those names hide.
private func systemBind(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> CInt {
    bind(descriptor, address, length)
}

private func systemListen(_ descriptor: CInt, _ backlog: CInt) -> CInt {
    listen(descriptor, backlog)
}
