import NIOCore

/// What a request of the gateway's own was answered.
struct SubrequestAnswer {
    var status: Int
    /// In order; names in lower case, without those of framing and connection.
    var fields: [(name: String, value: String)]
    var body: [UInt8]

    /// The first value of a field.
    func value(_ name: String) -> String? { fields.first { $0.name == name }?.value }
}

/// How a request of the gateway's own ended.
enum SubrequestOutcome {
    case answer(SubrequestAnswer)
    /// There was no whole answer.
    case brokeOff
    /// There was no more room for its answer.
    case tooLarge
}

/// Bytes of answers that may be held at once for one purpose.
final class AnswerBudget {
    private(set) var left: Int

    init(_ bytes: Int) { left = max(0, bytes) }

    /// Takes `count` bytes; false if they are not there.
    func take(_ count: Int) -> Bool {
        guard count <= left else { return false }
        left -= count
        return true
    }
}

/// A request that the gateway makes of itself: told to a ``ClientConnection`` as a connection of HTTP/1.1 with one request, as a stream of HTTP/2 is.
///
/// So it goes through the same validation, routing and filters as any other, and is answered by handlers in this process and by upstreams alike. It lives
/// on its worker's loop.
final class Subrequest {
    private let channel: SubrequestChannel
    private let method: Method
    private let budget: AnswerBudget
    private var completion: ((SubrequestOutcome) -> Void)?
    private var inbound = ByteBuffer()
    private var reader = HeadReader()
    private var head = ResponseHead()
    private var decoder: BodyDecoder?
    private var answer = SubrequestAnswer(status: 0, fields: [], body: [])

    /// Sends `bytes`, a head and a body; `completion` is told of the end once, later, and not at all after ``cancel()``.
    init(
        _ bytes: ByteBuffer, method: Method, origin: RequestOrigin, budget: AnswerBudget, worker: Worker,
        completion: @escaping (SubrequestOutcome) -> Void
    ) {
        self.method = method
        self.budget = budget
        self.completion = completion
        channel = SubrequestChannel(loop: worker.loop)
        channel.onWrite = { self.received($0) }
        channel.onClose = { self.finish(.brokeOff) }
        do {
            try channel.pipeline.syncOperations.addHandler(
                ClientConnection(worker: worker, isSecure: origin.isSecure, isStream: true, origin: origin))
        } catch {
            channel.close0(error: error, mode: .all, promise: nil)
            return
        }
        channel.pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
        channel.pipeline.syncOperations.fireChannelReadComplete()
    }

    /// Leaves it: whoever was to answer is told nothing more of it.
    func cancel() {
        completion = nil
        channel.close0(error: ChannelError.eof, mode: .all, promise: nil)
    }

    private func finish(_ outcome: SubrequestOutcome) {
        guard let completion else { return }
        self.completion = nil
        // What calls here may be in the middle of composing an answer.
        channel.eventLoop.assumeIsolated().execute { [channel] in
            channel.close0(error: ChannelError.eof, mode: .all, promise: nil)
            completion(outcome)
        }
    }

    private func received(_ data: ByteBuffer) {
        var data = data
        guard completion != nil, data.readableBytes > 0 else { return }
        if inbound.readableBytes == 0 { inbound = data } else { inbound.writeBuffer(&data) }
        do throws(CodecError) {
            while decoder == nil { guard try readHead() else { return } }
            while let slice = try decoder?.next(&inbound) {
                guard budget.take(slice.readableBytes) else { return finish(.tooLarge) }
                answer.body.append(contentsOf: slice.readableBytesView)
            }
        } catch {
            return finish(.brokeOff)
        }
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
        if decoder?.isDone ?? false { finish(.answer(answer)) }
    }

    /// Reads a head; false when more of it has to come.
    private func readHead() throws(CodecError) -> Bool {
        var failure: CodecError?
        let length = inbound.withUnsafeReadableBytes { bytes -> Int? in
            do throws(CodecError) {
                return try head.read(bytes, with: &reader, limits: .written, method: method)
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        guard let length else { return false }
        if head.status >= 200 {
            answer.status = head.status
            inbound.withUnsafeReadableBytes { bytes in
                for field in reader.fields {
                    switch field.known {
                    case .contentLength, .transferEncoding, .connection, .hopByHop, .date: continue
                    default: answer.fields.append((bytes[field.name].text.lowercased(), bytes[field.value].text))
                    }
                }
            }
            decoder = BodyDecoder(head.framing)
        }
        inbound.moveReaderIndex(forwardBy: length)
        reader.reset()
        return true
    }
}
