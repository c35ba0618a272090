import DovetailCore

/// What a gRPC client is told where the gateway itself answers: a status of gRPC's, in a head without a body.
extension Exchange {
    /// Whether the request is a call of gRPC.
    var isGRPC: Bool {
        headBytes.withUnsafeReadableBytes { bytes in
            fields.contains { field in
                field.known == .other && bytes[field.name].equalsIgnoringCase("content-type")
                    && bytes[field.value].startsIgnoringCase("application/grpc")
            }
        }
    }

    func answerGRPC(_ problem: Problem) {
        let message = problem.detail ?? problem.title
        answer(
            status: 200, reason: "OK",
            fields: [
                ("content-type", "application/grpc"), ("grpc-status", String(Exchange.grpcStatus(of: problem.status))),
                ("grpc-message", Exchange.percentEncoded(message)),
            ], body: [])
    }

    /// The status of gRPC that a status of HTTP stands for.
    private static func grpcStatus(of status: Int) -> Int {
        switch status {
        case 400, 422: 3  // INVALID_ARGUMENT
        case 401: 16  // UNAUTHENTICATED
        case 403: 7  // PERMISSION_DENIED
        case 404, 405: 12  // UNIMPLEMENTED
        case 408, 504: 4  // DEADLINE_EXCEEDED
        case 409: 10  // ABORTED
        case 413, 429, 431: 8  // RESOURCE_EXHAUSTED
        case 502, 503: 14  // UNAVAILABLE
        default: 2  // UNKNOWN
        }
    }

    private static func percentEncoded(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            if (0x20...0x7E).contains(byte), byte != 0x25 {
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return encoded
    }
}
