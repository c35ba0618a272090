import DovetailCore
import HTTPTypes
import Hummingbird
import NIOCore

extension RouterMethods {
    /// Answers everything below `path` with `handler`, which sees the rest of the path: mounted at `/api`,
    /// `GET /api/v1/orders/7` is its `GET /v1/orders/7`.
    ///
    /// Bodies longer than `maximumBodyBytes` are answered with 413. A streamed answer whose client is gone is noticed at
    /// the next chunk; ``HTTPServer`` notices at once.
    @discardableResult
    public func mount(
        _ handler: any RawHandler, at path: RouterPath = "", maximumBodyBytes: Int = 8 << 20
    ) -> Self {
        let group = group(path)
        let methods: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
        for method in methods {
            for below in ["", "**"] as [RouterPath] {
                group.on(below, method: method) { request, context in
                    try await handler.answer(
                        request, below: context.parameters.getCatchAll().count, maximumBodyBytes: maximumBodyBytes)
                }
            }
        }
        return self
    }
}

extension RawHandler {
    /// Answers a request of which the last `depth` segments of the path are the handler's.
    fileprivate func answer(_ request: Request, below depth: Int, maximumBodyBytes: Int) async throws -> Response {
        var body = request.body.makeAsyncIterator()
        guard let bytes = try await request.collect(&body, upTo: maximumBodyBytes) else {
            return Response(.bodyTooLarge(limit: maximumBodyBytes), for: request.method)
        }
        var raw = RawRequest(request, body: bytes)
        raw.path =
            "/"
            + raw.path.split(separator: "/", omittingEmptySubsequences: true).suffix(depth).joined(
                separator: "/")
        return Response(await respond(to: raw), for: request.method)
    }
}

extension Response {
    fileprivate init(_ answer: RawResponse, for method: HTTPRequest.Method) {
        var headers = answer.headers.withoutFraming
        switch answer.body {
        case .bytes(let bytes):
            headers[.contentLength] = String(bytes.count)
            let body = method == .head ? ResponseBody() : ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
            self.init(status: answer.status, headers: headers, body: body)
        case .stream where method == .head:
            self.init(status: answer.status, headers: headers)
        case .stream(let chunks):
            self.init(
                status: answer.status, headers: headers,
                body: ResponseBody { writer in
                    for try await chunk in chunks where !chunk.isEmpty {
                        try await writer.write(ByteBuffer(bytes: chunk))
                    }
                    try await writer.finish(nil)
                })
        }
    }
}
