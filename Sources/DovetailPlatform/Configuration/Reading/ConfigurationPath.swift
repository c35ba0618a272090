/// The way from the top of a configuration file to one of its values, written as `gateway.routes[0].rateLimit.rate`.
public struct ConfigurationPath: Sendable, Hashable, CustomStringConvertible {
    /// One step of the way.
    public enum Step: Sendable, Hashable {
        /// Into a mapping.
        case key(String)
        /// Into a list; counted from 0.
        case index(Int)
    }

    /// The steps, from the top.
    public let steps: [Step]

    /// The top of the file.
    public static let top = ConfigurationPath(steps: [])

    func key(_ name: String) -> ConfigurationPath { ConfigurationPath(steps: steps + [.key(name)]) }

    func index(_ index: Int) -> ConfigurationPath { ConfigurationPath(steps: steps + [.index(index)]) }

    public var description: String {
        var text = ""
        for step in steps {
            switch step {
            case .key(let name):
                if !text.isEmpty { text += "." }
                text += name.allSatisfy { $0.isLetter || $0.isNumber || "-_".contains($0) } ? name : quoted(name)
            case .index(let index): text += "[\(index)]"
            }
        }
        return text
    }
}

/// Text in quotes for a message: on one line, and cut short.
func quoted(_ text: String) -> String {
    let limit = 60
    var line = ""
    for scalar in text.unicodeScalars.prefix(limit) {
        line.unicodeScalars.append(scalar.value < 32 || scalar.value == 127 ? " " : scalar)
    }
    return "\"\(line)\(text.unicodeScalars.count > limit ? "…" : "")\""
}
