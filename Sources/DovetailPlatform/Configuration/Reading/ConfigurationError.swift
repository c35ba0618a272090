/// One thing that is wrong with a configuration file, and where.
public struct ConfigurationIssue: Sendable, Hashable, CustomStringConvertible {
    /// The file's name as it was given.
    public let file: String
    /// Where in the file; nil if it concerns the file as a whole.
    public let position: ConfigurationPosition?
    /// The value it is about.
    public let path: ConfigurationPath
    /// What was expected or what contradicts what, and what was found. Never holds a secret.
    public let message: String

    /// `platform.yaml:14:7: gateway.routes[0].rateLimit.rate: expected a rate such as 100/s, found "fast"`.
    public var description: String {
        var text = file
        if let position { text += ":\(position.line):\(position.column)" }
        if path != .top { text += ": \(path)" }
        return text + ": \(message)"
    }
}

/// A place in a file; lines and columns count from 1, columns in Unicode scalars.
public struct ConfigurationPosition: Sendable, Hashable, Comparable {
    /// The line.
    public let line: Int
    /// The column.
    public let column: Int

    public static func < (left: ConfigurationPosition, right: ConfigurationPosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// Everything that is wrong with a configuration file, in the order of the file.
public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// At least one issue.
    public let issues: [ConfigurationIssue]

    /// One line an issue.
    public var description: String { issues.map(\.description).joined(separator: "\n") }
}

/// Collects issues while a file is read. Used by one thread.
final class IssueCollector {
    private static let maximum = 100

    private let file: String
    private var found: [ConfigurationIssue] = []
    private var isCut = false

    init(file: String) {
        self.file = file
    }

    /// The values that there is an issue with.
    var paths: Set<ConfigurationPath> { Set(found.map(\.path)) }

    /// Notes an issue. Only the first one with this message at a position is kept: what a policy inherits is read again.
    func add(_ message: String, at path: ConfigurationPath, position: ConfigurationPosition?) {
        guard !found.contains(where: { $0.position == position && $0.message == message && position != nil }) else {
            return
        }
        if found.count < IssueCollector.maximum {
            found.append(ConfigurationIssue(file: file, position: position, path: path, message: message))
        } else {
            isCut = true
        }
    }

    /// Throws what was found, if anything was.
    func throwIfAny() throws(ConfigurationError) {
        guard !found.isEmpty else { return }
        let top = ConfigurationPosition(line: 0, column: 0)
        var issues = found.sorted { ($0.position ?? top) < ($1.position ?? top) }
        if isCut {
            let message = "there are more issues than these \(IssueCollector.maximum)"
            issues.append(ConfigurationIssue(file: file, position: nil, path: .top, message: message))
        }
        throw ConfigurationError(issues: issues)
    }
}
