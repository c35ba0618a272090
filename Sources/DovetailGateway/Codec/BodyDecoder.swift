import NIOCore

/// Takes a body out of a buffer in slices that share its storage, whatever the framing.
struct BodyDecoder {
    private enum State {
        case length(Int)
        case chunked(ChunkedDecoder)
        case untilClose
        case done
    }

    private var state: State
    /// Body bytes taken so far.
    private(set) var count = 0
    /// The lines of its trailer section (RFC 9112 7.1.2), once it is done.
    private(set) var trailers: [UInt8] = []

    init(_ framing: BodyFraming) {
        state =
            switch framing {
            case .none: .done
            case .length(let length): .length(length)
            case .chunked: .chunked(ChunkedDecoder())
            case .untilClose: .untilClose
            }
    }

    /// Whether the body has been taken whole.
    var isDone: Bool {
        if case .done = state { return true }
        return false
    }

    /// Whether the body ends with its connection.
    var endsWithConnection: Bool {
        if case .untilClose = state { return true }
        return false
    }

    /// How much is known to be left, where the length was declared.
    var remaining: Int? {
        if case .length(let left) = state { return left }
        return nil
    }

    /// The next piece of the body, or nil when `buffer` holds no more of it or the body is over (see ``isDone``).
    mutating func next(_ buffer: inout ByteBuffer) throws(CodecError) -> ByteBuffer? {
        switch state {
        case .done: return nil
        case .length(let left):
            guard let slice = buffer.readSlice(length: min(left, buffer.readableBytes)), slice.readableBytes > 0 else {
                return nil
            }
            let rest = left - slice.readableBytes
            state = rest == 0 ? .done : .length(rest)
            count += slice.readableBytes
            return slice
        case .untilClose:
            guard buffer.readableBytes > 0, let slice = buffer.readSlice(length: buffer.readableBytes) else {
                return nil
            }
            count += slice.readableBytes
            return slice
        case .chunked(var decoder):
            var consumed = 0
            var failure: CodecError?
            let step = buffer.withUnsafeReadableBytes { bytes -> ChunkedDecoder.Step in
                do throws(CodecError) {
                    return try decoder.next(bytes, consumed: &consumed)
                } catch {
                    failure = error
                    return .end
                }
            }
            if let failure { throw failure }
            buffer.moveReaderIndex(forwardBy: consumed)
            guard case .data(let left) = step else {
                if step == .end {
                    trailers = decoder.trailers
                    state = .done
                } else {
                    state = .chunked(decoder)
                }
                return nil
            }
            guard let slice = buffer.readSlice(length: min(left, buffer.readableBytes)), slice.readableBytes > 0 else {
                state = .chunked(decoder)
                return nil
            }
            decoder.take(slice.readableBytes)
            state = .chunked(decoder)
            count += slice.readableBytes
            return slice
        }
    }
}
