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
}

/// A listening socket that one loop accepts from, handing connections to all loops in turn.
///
/// One acceptor, because the others have each a flaw: descriptors duplicated to every loop wake all of them for each connection, which NIO's debug
/// build takes for a fault, and SO_REUSEPORT lets another process share the port by accident and does not balance on macOS.
struct Listener {
    /// The socket's descriptor; owned by the channel once there is one.
    private let descriptor: CInt
    let port: Int

    /// Binds `listen` and begins to listen.
    init(_ listen: GatewayConfiguration.Listen) throws(GatewayListenError) {
        func refuse(_ reason: String) -> GatewayListenError {
            GatewayListenError(description: "cannot listen on \(listen.host):\(listen.port): \(reason)")
        }
        let address: SocketAddress
        do {
            address = try SocketAddress.makeAddressResolvingHost(listen.host, port: listen.port)
        } catch {
            throw refuse("the host cannot be resolved")
        }
        let family: CInt = address.protocol == .inet6 ? AF_INET6 : AF_INET
        #if os(Linux)
            let stream = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        #else
            let stream = SOCK_STREAM
        #endif
        let descriptor = socket(family, stream, 0)
        guard descriptor >= 0 else { throw refuse(Listener.reason(errno)) }
        var yes: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        let bound = address.withSockAddr { pointer, length in bind(descriptor, pointer, socklen_t(length)) }
        guard bound == 0, listen_(descriptor, 4096) == 0 else {
            let reason = Listener.reason(errno)
            close(descriptor)
            throw refuse(reason)
        }
        self.descriptor = descriptor
        port = Listener.port(of: descriptor) ?? listen.port
    }

    /// A channel whose connections go to the loops of `group` in turn.
    func channel(
        on group: any EventLoopGroup, initialise: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) async throws -> any Channel {
        try await ServerBootstrap(group: group.next(), childGroup: group)
            .serverChannelOption(.maxMessagesPerRead, value: 32)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 32_768, high: 65_536))
            .childChannelInitializer(initialise)
            .withBoundSocket(descriptor)
            .get()
    }

    private static func reason(_ code: CInt) -> String {
        String(cString: strerror(code)).lowercased()
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

/// The system's `listen`, which the parameter of the same name hides.
private func listen_(_ descriptor: CInt, _ backlog: CInt) -> CInt {
    listen(descriptor, backlog)
}
