import DovetailCore
import Foundation
import Logging
import Synchronization
import Testing
import Tracing

@testable import DovetailObservability

@Suite struct ConsoleLogHandlerTests {
    private final class Lines: Sendable {
        let text = Mutex("")
    }

    private let lines = Lines()

    private func logger(_ format: ConsoleLogHandler.Format, level: Logger.Level = .info) -> Logger {
        let lines = lines
        return Logger(label: "shop") { label in
            ConsoleLogHandler(label: label, level: level, format: format) { line in
                lines.text.withLock { $0 += String(decoding: line, as: UTF8.self) }
            }
        }
    }

    private var written: String { lines.text.withLock { $0 } }

    @Test func writesForPeople() {
        var logger = logger(.text)
        logger[metadataKey: "node"] = "main"
        logger.info("order placed", metadata: ["order": "17", "note": "a b", "list": ["x", "y"]])
        logger.debug("not this")
        #expect(
            written.dropFirst(24) == " info     shop  order placed  list=\"[x, y]\" node=main note=\"a b\" order=17\n")
        #expect(written.prefix(24).hasSuffix("Z"))
    }

    @Test func writesForMachines() throws {
        logger(.json).warning("line\nbreak \"q\"", metadata: ["order": "17", "level": "x"])
        let json = try JSONSerialization.jsonObject(with: Data(written.utf8)) as? [String: String]
        #expect(json?["message"] == "line\nbreak \"q\"")
        #expect(json?["level"] == "warning")
        #expect(json?["metadata.level"] == "x")
        #expect(json?["order"] == "17")
    }

    @Test(arguments: ConsoleLogHandler.Format.allCases)
    func neverWritesSecrets(_ format: ConsoleLogHandler.Format) {
        let secret = "hunter2"
        logger(format).info(
            "call",
            metadata: [
                "Authorization": "\(secret)", "node-token": "\(secret)", "JWT_SECRET": "\(secret)",
                "db.password": "\(secret)",
                "Set-Cookie": "\(secret)", "x-api-key": "\(secret)",
                "headers": ["authorization": "\(secret)", "accept": "text/plain"],
                "list": [["token": "\(secret)"]],
            ])
        #expect(!written.contains(secret))
        #expect(written.contains("text/plain"))
        #expect(written.contains("(redacted)"))
    }

    @Test func namesTheFlowAndTheTrace() throws {
        let tracer = DovetailTracer(node: "main", store: SpanStore())
        let logger = logger(.text)
        try CallContext.$current.withValue(CallContext(correlationID: "flow-1")) {
            try tracer.withSpan("work") { span in
                logger.info("inside")
                let trace = try #require(span.context.traceContext?.traceID)
                #expect(written.contains("inside  correlation=flow-1 trace=\(trace)\n"))
            }
        }
        logger.info("outside")
        #expect(written.hasSuffix("outside\n"))
    }

    @Test func keepsAMessageOnItsLine() {
        logger(.text).info("a\nfake line\u{1B}[2J", metadata: ["k\n": "v\r\nw"])
        #expect(written.filter(\.isNewline).count == 1)
        #expect(!written.contains("\u{1B}"))
    }
}
