import DovetailHTTP
import NIOCore
import NIOPosix
import Synchronization

/// A server that says what a test tells it to, bytes for bytes, and breaks off where it is told to.
enum ScriptedServer {
    /// What to do once a whole request head has come in.
    enum Step: Sendable {
        case say(String)
        case close
        /// Takes no further connection, as a server that has died.
        case stopListening
    }

    /// The steps for the `request`th request of the `connection`th connection, both from 0.
    typealias Script = @Sendable (_ connection: Int, _ request: Int) -> [Step]

    /// The first lines of the requests that came, in order.
    final class Log: Sendable {
        private let lines = Mutex<[String]>([])
        var requests: [String] { lines.withLock { $0 } }
        fileprivate func note(_ line: String) { lines.withLock { $0.append(line) } }
    }

    static func with(
        _ script: @escaping Script, _ body: @escaping @Sendable (HTTPAddress, Log) async throws -> Void
    ) async throws {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        let log = Log()
        let address = HTTPAddress.tcp(host: "127.0.0.1", port: channel.channel.localAddress?.port ?? 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await channel.executeThenClose { connections in
                    try await withThrowingDiscardingTaskGroup { serving in
                        var index = 0
                        for try await connection in connections {
                            let number = index
                            index += 1
                            serving.addTask { try? await serve(connection, number, script, log, channel.channel) }
                        }
                    }
                }
            }
            try await body(address, log)
            group.cancelAll()
        }
    }

    private static func serve(
        _ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>, _ number: Int, _ script: Script, _ log: Log,
        _ listener: any Channel
    ) async throws {
        try await connection.executeThenClose { inbound, outbound in
            var request = 0
            var received = ""
            for try await buffer in inbound {
                received += String(buffer: buffer)
                while received.contains("\r\n\r\n") {
                    log.note(String(received.prefix { $0 != "\r\n" }))
                    received = ""
                    for step in script(number, request) {
                        switch step {
                        case .say(let text): try await outbound.write(ByteBuffer(string: text))
                        case .close: return
                        case .stopListening: try await listener.close()
                        }
                    }
                    request += 1
                }
            }
        }
    }
}
