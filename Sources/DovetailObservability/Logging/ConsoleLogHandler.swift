import DovetailCore
import Foundation
import Logging
import Synchronization
import Tracing

/// A log handler that writes a line to standard error for each message, for people or for machines.
///
///     LoggingSystem.bootstrap { ConsoleLogHandler(label: $0) }
///
///     2026-11-22T11:54:46.123Z info  shop  order placed  order=17 correlation=0193… trace=4bf9…
///
/// Each line names the flow and the trace that it was written in. Values of metadata keys that name a secret (authorization, token,
/// password and their like) are not written, at any depth.
public struct ConsoleLogHandler: LogHandler {
    /// The form of the lines.
    public enum Format: String, Sendable, Hashable, CaseIterable {
        /// For people: time, level, label, message, then facts as `key=value`.
        case text
        /// A JSON object; metadata are members under their own names.
        case json
    }

    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let format: Format
    private let sink: @Sendable ([UInt8]) -> Void

    private static let lock = Mutex(())

    /// A handler.
    ///
    /// - Parameters:
    ///   - label: The logger's label.
    ///   - level: The least level that is written; what `LOG_LEVEL` says, or `info`.
    ///   - format: The form of the lines; what `LOG_FORMAT` says, or text.
    public init(
        label: String, level: Logger.Level? = nil, format: Format? = nil,
        metadataProvider: Logger.MetadataProvider? = LoggingSystem.metadataProvider
    ) {
        self.init(label: label, level: level, format: format, metadataProvider: metadataProvider) { line in
            ConsoleLogHandler.lock.withLock { _ in _ = LogFile.standardError.write(line) }
        }
    }

    init(
        label: String, level: Logger.Level?, format: Format?, metadataProvider: Logger.MetadataProvider? = nil,
        sink: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.label = label
        self.logLevel =
            level ?? ConsoleLogHandler.environment("LOG_LEVEL").flatMap(Logger.Level.init(rawValue:)) ?? .info
        self.format = format ?? ConsoleLogHandler.environment("LOG_FORMAT").flatMap(Format.init(rawValue:)) ?? .text
        self.metadataProvider = metadataProvider
        self.sink = sink
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var facts = metadata
        if let provided = metadataProvider?.get() { facts.merge(provided) { _, new in new } }
        if let own = event.metadata { facts.merge(own) { _, new in new } }
        if let error = event.error, facts["error"] == nil { facts["error"] = .string(String(describing: error)) }
        var pairs = facts.map { (key: $0.key, value: LogMetadataText.text(of: $0.value, key: $0.key)) }
        pairs.sort { $0.key < $1.key }
        let call = CallContext.current
        if let call, facts["correlation"] == nil { pairs.append(("correlation", call.correlationID)) }
        if let trace = (ServiceContext.current ?? call?.trace)?.traceContext, facts["trace"] == nil {
            pairs.append(("trace", trace.traceID.description))
        }
        sink(line(level: event.level, message: event.message.description, facts: pairs))
    }

    private func line(level: Logger.Level, message: String, facts: [(key: String, value: String)]) -> [UInt8] {
        switch format {
        case .json:
            var line = JSONLine()
            line.member("time", Timestamp.now.internet)
            line.member("level", level.rawValue)
            line.member("label", label)
            line.member("message", message)
            let own: Set<String> = ["time", "level", "label", "message"]
            for fact in facts { line.member(own.contains(fact.key) ? "metadata.\(fact.key)" : fact.key, fact.value) }
            return line.end()
        case .text:
            let name = level.rawValue
            let padding = String(repeating: " ", count: max(0, 8 - name.count))
            var text = "\(Timestamp.now.internet) \(name)\(padding) \(label)  \(LogMetadataText.oneLine(message))"
            for (index, fact) in facts.enumerated() {
                text += (index == 0 ? "  " : " ") + LogMetadataText.oneLine(fact.key)
                text += "=" + LogMetadataText.quotedIfNeeded(fact.value)
            }
            return Array((text + "\n").utf8)
        }
    }

    private static func environment(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name]?.lowercased()
    }
}

/// Metadata as text on one line, without secrets.
enum LogMetadataText {
    static func text(of value: Logger.Metadata.Value, key: String) -> String {
        if SecretNames.contains(key) { return SecretNames.redacted }
        switch value {
        case .string(let text): return text
        case .stringConvertible(let value): return value.description
        case .array(let values): return "[" + values.map { text(of: $0, key: "") }.joined(separator: ", ") + "]"
        case .dictionary(let values):
            let pairs = values.sorted { $0.key < $1.key }.map { "\($0.key): \(text(of: $0.value, key: $0.key))" }
            return "{" + pairs.joined(separator: ", ") + "}"
        }
    }

    /// Control characters would break the line, or command the terminal.
    static func oneLine(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 32 || $0 == 127 || $0 == 0xC2 }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.properties.generalCategory == .control:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    static func quotedIfNeeded(_ text: String) -> String {
        let line = oneLine(text)
        guard line.isEmpty || line.contains(where: { $0 == " " || $0 == "\"" || $0 == "=" }) else { return line }
        return "\"" + line.replacing("\"", with: "\\\"") + "\""
    }
}
