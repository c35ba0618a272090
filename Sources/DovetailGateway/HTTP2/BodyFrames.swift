import NIOCore
import NIOHPACK
import NIOHTTP2

/// Makes frames of a body that comes as HTTP/1.1 writes it.
struct BodyFrames {
    private var body: BodyDecoder
    /// Whether the frame that ends the stream has been given out.
    private(set) var isOver: Bool

    /// Frames of a body of this framing; where there is none, the head has ended the stream.
    init(_ framing: BodyFraming) {
        body = BodyDecoder(framing)
        isOver = body.isDone
    }

    /// Whether the body ends with its connection.
    var endsWithConnection: Bool { body.endsWithConnection }

    /// The next frame of what `buffer` holds: data, and behind the last of it the trailers; nil when more has to come, or nothing more does.
    mutating func next(_ buffer: inout ByteBuffer) throws(CodecError) -> HTTP2Frame.FramePayload? {
        guard !isOver else { return nil }
        if let slice = try body.next(&buffer) {
            isOver = body.isDone
            return .data(.init(data: .byteBuffer(slice), endStream: isOver))
        }
        guard body.isDone else { return nil }
        isOver = true
        guard !body.trailers.isEmpty else { return .data(.init(data: .byteBuffer(ByteBuffer()), endStream: true)) }
        let trailers = HTTP2Fields.trailers(body.trailers)
        guard HTTP2Fields.fitFrame(trailers) else { throw .headTooLarge }
        return .headers(.init(headers: trailers, endStream: true))
    }
}
