import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// What a scripted backend does with a request.
enum BackendAction: Sendable {
    case send(String)
    case sendBytes([UInt8])
    /// Ends the connection in order.
    case close
    /// Calls this, and goes on with what it returns once it returns.
    case after(@Sendable () async -> [BackendAction])
}

/// A request as a backend saw it.
struct ReceivedRequest: Sendable {
    var head: String
    var body: [UInt8]
    /// The lines behind a chunked body.
    var trailers = ""
    /// Counts the requests of one connection, from 1.
    var numberOnConnection: Int

    var line: String { String(head.prefix { $0 != "\r\n" }) }

    /// The values of a field.
    func values(_ name: String) -> [String] {
        head.split(separator: "\r\n").compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].lowercased() == name else { return nil }
            return parts[1].trimmingPrefix(" ").description
        }
    }

    func value(_ name: String) -> String? { values(name).first }
}

/// A server that does to each request what a test says.
final class Backend: Sendable {
    let port: Int
    let requests = Recorded<ReceivedRequest>()
    /// The sizes of the chunks of ``BackendAction/sendBytes(_:)`` that the kernel has taken.
    let sent = Recorded<Int>()
    private let channel: any Channel

    /// - Parameter wantsBody: Whether it waits for the whole body before it acts; else it acts on the head.
    init(
        wantsBody: Bool = true, receiveBuffer: Int? = nil,
        _ act: @escaping @Sendable (ReceivedRequest) -> [BackendAction]
    ) async throws {
        let (requests, sent) = (requests, sent)
        var bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        BackendHandler(wantsBody: wantsBody, sent: sent) { request in
                            requests.append(request)
                            return act(request)
                        })
                }
            }
        if let receiveBuffer {
            bootstrap = bootstrap.childChannelOption(.socketOption(.so_rcvbuf), value: .init(receiveBuffer))
        }
        channel = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    func stop() async {
        try? await channel.close()
    }
}

/// Things that happened, which a test can wait for.
final class Recorded<Element: Sendable>: Sendable {
    private let box = NIOLockedValueBox<(values: [Element], waiters: [(Int, CheckedContinuation<Void, Never>)])>(
        ([], []))

    func append(_ value: Element) {
        let ready = box.withLockedValue { box in
            box.values.append(value)
            let count = box.values.count
            let ready = box.waiters.filter { $0.0 <= count }
            box.waiters.removeAll { $0.0 <= count }
            return ready
        }
        for waiter in ready { waiter.1.resume() }
    }

    var all: [Element] { box.withLockedValue { $0.values } }

    /// Waits until `count` things have happened.
    func wait(for count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = box.withLockedValue { box in
                if box.values.count >= count { return true }
                box.waiters.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

private final class BackendHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let wantsBody: Bool
    private let act: @Sendable (ReceivedRequest) -> [BackendAction]
    private var inbound = ByteBuffer()
    private var count = 0
    private var ignoresRest = false
    private let sent: Recorded<Int>

    init(wantsBody: Bool, sent: Recorded<Int>, act: @escaping @Sendable (ReceivedRequest) -> [BackendAction]) {
        self.wantsBody = wantsBody
        self.sent = sent
        self.act = act
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var data = unwrapInboundIn(data)
        guard !ignoresRest else { return }
        inbound.writeBuffer(&data)
        while let request = nextRequest() {
            perform(act(request), context)
        }
    }

    private func nextRequest() -> ReceivedRequest? {
        let bytes = Array(inbound.readableBytesView)
        guard let end = find([13, 10, 13, 10], in: bytes, from: 0) else { return nil }
        var request = ReceivedRequest(
            head: String(decoding: bytes[..<(end + 4)], as: UTF8.self), body: [], numberOnConnection: count + 1)
        var used = end + 4
        if wantsBody {
            if let length = request.value("content-length").flatMap(Int.init) {
                guard bytes.count >= used + length else { return nil }
                request.body = Array(bytes[used..<(used + length)])
                used += length
            } else if request.value("transfer-encoding") == "chunked" {
                while true {
                    guard let line = find([13, 10], in: bytes, from: used) else { return nil }
                    let size = Int(String(decoding: bytes[used..<line], as: UTF8.self), radix: 16) ?? 0
                    if size == 0 {
                        guard let last = find([13, 10, 13, 10], in: bytes, from: line) else { return nil }
                        request.trailers = String(decoding: bytes[(line + 2)..<(last + 2)], as: UTF8.self)
                        used = last + 4
                        break
                    }
                    guard bytes.count >= line + 2 + size + 2 else { return nil }
                    request.body += bytes[(line + 2)..<(line + 2 + size)]
                    used = line + 2 + size + 2
                }
            }
        } else {
            ignoresRest = request.value("content-length") != nil || request.value("transfer-encoding") != nil
        }
        count += 1
        inbound.moveReaderIndex(forwardBy: used)
        return request
    }

    private func find(_ pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= start + pattern.count else { return nil }
        return (start...(bytes.count - pattern.count)).first { index in
            zip(pattern, bytes[index...]).allSatisfy { $0 == $1 }
        }
    }

    private func perform(_ actions: [BackendAction], _ context: ChannelHandlerContext) {
        for (index, action) in actions.enumerated() {
            switch action {
            case .send(let text): context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            case .sendBytes(let bytes):
                let sent = sent
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes))).whenSuccess {
                    sent.append(bytes.count)
                }
            case .close:
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in bound.value.close(promise: nil)
                }
            case .after(let wait):
                let rest = Array(actions[(index + 1)...])
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                let loop = context.eventLoop
                Task {
                    let next = await wait()
                    loop.execute {
                        let (handler, context) = bound.value
                        handler.perform(next + rest, context)
                    }
                }
                return
            }
        }
    }
}

/// An answer as a raw client saw it.
struct ReceivedResponse: Sendable {
    var status: Int
    var head: String
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func values(_ name: String) -> [String] {
        ReceivedRequest(head: head, body: [], numberOnConnection: 0).values(name)
    }

    func value(_ name: String) -> String? { values(name).first }
}

/// A client that sends bytes as they are and reads answers by their framing.
final class RawClient: Sendable {
    private let channel: any Channel
    private let stream: AsyncStream<ByteBuffer>
    private let buffer = NIOLockedValueBox((buffer: ByteBuffer(), isClosed: false))

    /// - Parameter reads: Whether it reads at once; a slow client waits for ``startReading()``.
    init(port: Int, reads: Bool = true, receiveBuffer: Int? = nil) async throws {
        let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
        self.stream = stream
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelOption(.allowRemoteHalfClosure, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ClientHandler(continuation))
                }
            }
        if let receiveBuffer {
            bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBuffer))
        }
        channel = try await bootstrap.connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    func startReading() async throws {
        try await channel.setOption(.autoRead, value: true).get()
        channel.read()
    }

    /// Ends our sending side; answers still arrive.
    func finishSending() async throws {
        try await channel.close(mode: .output)
    }

    /// Ends the connection without a farewell.
    func reset() async throws {
        try await (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        try? await channel.close()
    }

    func close() async { try? await channel.close() }

    /// Everything until the server ends the connection.
    func readToEnd() async -> [UInt8] {
        while await more() {}
        return buffer.withLockedValue { box in
            let bytes = Array(box.buffer.readableBytesView)
            box.buffer.clear()
            return bytes
        }
    }

    /// The next answer; nil if the connection ends before it is whole.
    ///
    /// - Parameter toHead: Whether it answers HEAD, and so has no body.
    func response(toHead: Bool = false) async -> ReceivedResponse? {
        var head = takeHead()
        while head == nil {
            guard await more() else { return nil }
            head = takeHead()
        }
        guard var response = head else { return nil }
        if toHead || response.status < 200 || response.status == 204 || response.status == 304 { return response }
        if let length = response.value("content-length").flatMap(Int.init) {
            guard await arrived(length) else { return nil }
            response.body = take(length)
        } else if response.value("transfer-encoding") == "chunked" {
            while true {
                var line = takeLine()
                while line == nil {
                    guard await more() else { return nil }
                    line = takeLine()
                }
                guard let size = line.flatMap({ Int($0, radix: 16) }), await arrived(size + 2) else { return nil }
                response.body += take(size)
                _ = take(2)
                if size == 0 { break }
            }
        } else {
            response.body = await readToEnd()
        }
        return response
    }

    /// Waits until this many bytes have arrived that were not read yet.
    func arrived(_ count: Int) async -> Bool {
        while buffer.withLockedValue({ $0.buffer.readableBytes }) < count {
            guard await more() else { return false }
        }
        return true
    }

    private func more() async -> Bool {
        for await next in stream {
            buffer.withLockedValue { box in
                var next = next
                box.buffer.writeBuffer(&next)
            }
            return true
        }
        return false
    }

    private func takeHead() -> ReceivedResponse? {
        buffer.withLockedValue { box in
            let bytes = Array(box.buffer.readableBytesView.prefix(65_536))
            guard let end = RawClient.find([13, 10, 13, 10], in: bytes, from: 0) else { return nil }
            let head = String(decoding: bytes[..<(end + 4)], as: UTF8.self)
            box.buffer.moveReaderIndex(forwardBy: end + 4)
            return ReceivedResponse(status: Int(head.dropFirst(9).prefix(3)) ?? 0, head: head, body: [])
        }
    }

    private func takeLine() -> String? {
        buffer.withLockedValue { box in
            let bytes = Array(box.buffer.readableBytesView.prefix(64))
            guard let end = RawClient.find([13, 10], in: bytes, from: 0) else { return nil }
            box.buffer.moveReaderIndex(forwardBy: end + 2)
            return String(decoding: bytes[..<end], as: UTF8.self)
        }
    }

    /// Takes so many bytes of those that have arrived.
    func take(_ count: Int) -> [UInt8] {
        buffer.withLockedValue { box in box.buffer.readBytes(length: count) ?? [] }
    }

    private static func find(_ pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= start + pattern.count else { return nil }
        return (start...(bytes.count - pattern.count)).first { index in
            (0..<pattern.count).allSatisfy { bytes[index + $0] == pattern[$0] }
        }
    }
}

private final class ClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let continuation: AsyncStream<ByteBuffer>.Continuation

    init(_ continuation: AsyncStream<ByteBuffer>.Continuation) {
        self.continuation = continuation
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        continuation.yield(unwrapInboundIn(data))
    }

    func channelInactive(context: ChannelHandlerContext) {
        continuation.finish()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
