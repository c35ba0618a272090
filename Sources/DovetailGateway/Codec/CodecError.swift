/// Why a message was refused: the status a client gets for it, and the rule it broke.
///
/// Whatever the rule, the connection closes: after a framing error nobody can know where the next message begins.
struct CodecError: Error, Equatable {
    /// What the client is told.
    var status: Int
    /// The rule, as a sentence that repeats nothing of the input.
    var reason: StaticString

    static func == (left: CodecError, right: CodecError) -> Bool {
        left.status == right.status && left.reason.description == right.reason.description
    }

    static func bad(_ reason: StaticString) -> CodecError { CodecError(status: 400, reason: reason) }
    static let headTooLarge = CodecError(status: 431, reason: "the header section is larger than this gateway takes")
    static let targetTooLong = CodecError(status: 414, reason: "the request target is longer than this gateway takes")
    static let bodyTooLarge = CodecError(status: 413, reason: "the body is larger than this route takes")
}
