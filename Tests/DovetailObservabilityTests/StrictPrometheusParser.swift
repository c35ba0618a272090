import Foundation

/// Reads Prometheus text 0.0.4 and takes nothing that the format's description does not allow.
enum StrictPrometheusParser {
    struct Sample {
        var name: String
        var labels: [String: String]
        var value: String
    }

    struct Family {
        var help: String?
        var type: String
        var samples: [Sample] = []
    }

    struct Failure: Error {
        var line: String
        var reason: String
    }

    static func parse(_ text: String) throws -> [String: Family] {
        var families: [String: Family] = [:]
        var current = ""
        var help: (name: String, text: String)?
        guard text.isEmpty || text.hasSuffix("\n") else { throw Failure(line: "", reason: "no end of line") }
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("# HELP ") {
                let parts = line.dropFirst(7).split(separator: " ", maxSplits: 1).map(String.init)
                help = (parts[0], try unescaped(parts.count > 1 ? parts[1] : "", line))
            } else if line.hasPrefix("# TYPE ") {
                let parts = line.dropFirst(7).split(separator: " ").map(String.init)
                guard parts.count == 2, ["counter", "gauge", "histogram"].contains(parts[1]), families[parts[0]] == nil
                else { throw Failure(line: line, reason: "bad or second TYPE") }
                current = parts[0]
                families[current] = Family(help: help?.name == current ? help?.text : nil, type: parts[1])
            } else {
                let sample = try sample(line)
                let suffixes = families[current]?.type == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
                guard suffixes.contains(where: { current + $0 == sample.name }) else {
                    throw Failure(line: line, reason: "not a sample of \(current)")
                }
                families[current]?.samples.append(sample)
            }
        }
        return families
    }

    private static func sample(_ line: String) throws -> Sample {
        var rest = Substring(line)
        let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
        guard let first = name.first, !first.isNumber else { throw Failure(line: line, reason: "name") }
        rest = rest.dropFirst(name.count)
        var labels: [String: String] = [:]
        if rest.first == "{" {
            rest = rest.dropFirst()
            while rest.first != "}" {
                let label = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
                rest = rest.dropFirst(label.count)
                guard let first = label.first, !first.isNumber, rest.hasPrefix("=\""), labels[String(label)] == nil
                else { throw Failure(line: line, reason: "label") }
                rest = rest.dropFirst(2)
                var value = ""
                while let character = rest.first, character != "\"" {
                    value.append(character)
                    rest = rest.dropFirst()
                    if character == "\\", let escaped = rest.first {
                        value.append(escaped)
                        rest = rest.dropFirst()
                    }
                }
                guard rest.first == "\"" else { throw Failure(line: line, reason: "open quote") }
                rest = rest.dropFirst()
                labels[String(label)] = try unescaped(value, line)
                if rest.first == "," {
                    rest = rest.dropFirst()
                } else if rest.first != "}" {
                    throw Failure(line: line, reason: "separator")
                }
            }
            rest = rest.dropFirst()
        }
        guard rest.first == " " else { throw Failure(line: line, reason: "no value") }
        let value = String(rest.dropFirst())
        guard ["NaN", "+Inf", "-Inf"].contains(value) || Double(value) != nil else {
            throw Failure(line: line, reason: "number")
        }
        return Sample(name: String(name), labels: labels, value: value)
    }

    private static func unescaped(_ text: String, _ line: String) throws -> String {
        var result = ""
        var isEscaped = false
        for character in text {
            switch (isEscaped, character) {
            case (true, "n"): result.append("\n")
            case (true, "\\"), (true, "\""): result.append(character)
            case (true, _): throw Failure(line: line, reason: "escape")
            case (false, "\\"):
                isEscaped = true
                continue
            default: result.append(character)
            }
            isEscaped = false
        }
        return result
    }
}
