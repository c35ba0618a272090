import Dispatch
import Foundation
import Synchronization
import Yams

/// Turns the bytes of a YAML file into a ``ConfigurationNode``, whatever the bytes are.
///
/// Hostile input ends in an issue and not in a crash or in unbounded memory: size, aliases, depth and the number of
/// values are limited, and the YAML library, which recurses up to 1000 levels, runs on a stack that has room for it.
struct ConfigurationDocument {
    private struct Outcome: Sendable {
        var root: ConfigurationNode?
        var issues: [(message: String, path: ConfigurationPath, position: ConfigurationPosition?)] = []
    }

    private final class Box: Sendable {
        let result = Mutex<Outcome?>(nil)
    }

    static let maximumBytes = 4 << 20
    /// Aliases within aliases grow a file exponentially: 30 of them at most to some 3^10 values.
    static let maximumAliases = 30
    static let maximumDepth = 32
    static let maximumValues = 200_000

    /// The document's value; nil, with the reasons noted, if there is none.
    static func read(
        _ bytes: some Collection<UInt8>, environment: [String: String], issues: IssueCollector
    ) -> ConfigurationNode? {
        guard bytes.count <= maximumBytes else {
            issues.add("the file has \(bytes.count) bytes, more than 4 MiB", at: .top, position: nil)
            return nil
        }
        guard var text = String(validating: bytes, as: UTF8.self) else {
            issues.add("the file is not UTF-8 text", at: .top, position: firstInvalidByte(in: Array(bytes)))
            return nil
        }
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        guard aliases(in: text.utf8) <= maximumAliases else {
            issues.add("more than \(maximumAliases) aliases (*name) in one file", at: .top, position: nil)
            return nil
        }
        let outcome = onDeepStack { [text] in compose(text, environment: environment) }
        for issue in outcome.issues { issues.add(issue.message, at: issue.path, position: issue.position) }
        return outcome.root
    }

    private static func compose(_ text: String, environment: [String: String]) -> Outcome {
        do {
            guard let node = try Yams.compose(yaml: text) else {
                return Outcome(issues: [("the file is empty", .top, nil)])
            }
            var converter = NodeConverter(environment: environment)
            let root = converter.convert(node, at: .top, depth: 0)
            return Outcome(root: root, issues: converter.issues)
        } catch {
            var (message, position) = describe(error)
            if let position,
                text.split(separator: "\n", omittingEmptySubsequences: false).dropFirst(position.line - 1)
                    .first?.contains("${") == true
            {
                message += "; in braces or brackets ${NAME} needs quotes"
            }
            return Outcome(issues: [(message, .top, position)])
        }
    }

    /// Counts everything that could be an alias; what is one cannot be told without parsing.
    private static func aliases(in text: String.UTF8View) -> Int {
        var count = 0
        var afterStar = false
        for byte in text {
            let isNameByte =
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45
                || byte == 95
            if afterStar && isNameByte { count += 1 }
            afterStar = byte == 42
        }
        return count
    }

    private static func firstInvalidByte(in bytes: [UInt8]) -> ConfigurationPosition {
        var valid = 0
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var line = 1
        var column = 1
        while case .scalarValue(let scalar) = decoder.decode(&iterator), valid < bytes.count {
            valid += 1
            column = scalar == "\n" ? 1 : column + 1
            line += scalar == "\n" ? 1 : 0
        }
        return ConfigurationPosition(line: line, column: column)
    }

    /// The library's own description quotes the file, which may hold secrets: only the problem is told.
    private static func describe(_ error: any Error) -> (String, ConfigurationPosition?) {
        func position(_ mark: Mark) -> ConfigurationPosition {
            ConfigurationPosition(line: mark.line, column: mark.column)
        }
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return ("not YAML: \(problem)", position(mark))
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.map(quoted).joined(separator: ", ")
            return ("the key \(names) is there more than once in one mapping", position(context.mark))
        case .reader(let problem, let offset, _, let yaml):
            let before = yaml.prefix(offset ?? 0)
            let line = before.reduce(1) { $1.isNewline ? $0 + 1 : $0 }
            let column = before.reversed().prefix { !$0.isNewline }.count + 1
            return ("not YAML: \(problem)", offset == nil ? nil : ConfigurationPosition(line: line, column: column))
        default: return ("not YAML that can be read", nil)
        }
    }

    /// Runs `body` on a thread of its own and waits for it; a task's thread may have a stack of half a megabyte.
    private static func onDeepStack(_ body: @escaping @Sendable () -> Outcome) -> Outcome {
        let box = Box()
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let outcome = body()
            box.result.withLock { $0 = outcome }
            done.signal()
        }
        thread.stackSize = 64 << 20
        thread.start()
        done.wait()
        return box.result.withLock { $0 } ?? Outcome(issues: [("the file could not be read", .top, nil)])
    }
}
