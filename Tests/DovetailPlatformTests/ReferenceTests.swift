import Foundation
import Testing

@testable import DovetailPlatform

/// The table of keys in docs/gateway.md is the schema's: each key with its default, and no key that there is not.
@Suite struct ReferenceTests {
    private func schema() throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(PlatformConfiguration.jsonSchema().utf8)) as? [String: Any])
    }

    /// Keys with their defaults, empty for none; `<name>` stands for a name, and lists stand without brackets.
    private func keys(_ schema: [String: Any], at path: [String] = []) -> [String: String] {
        var keys: [String: String] = [:]
        for (key, value) in schema["properties"] as? [String: [String: Any]] ?? [:] {
            let path = path + [key]
            keys.merge(self.keys(value, at: path)) { known, _ in known }
            keys[path.joined(separator: ".")] = standard(value)
        }
        if let values = schema["additionalProperties"] as? [String: Any] {
            keys.merge(self.keys(values, at: path + ["<name>"])) { known, _ in known }
        }
        if let items = schema["items"] as? [String: Any] {
            keys.merge(self.keys(items, at: path)) { known, _ in known }
        }
        for alternative in schema["anyOf"] as? [[String: Any]] ?? [] {
            keys.merge(self.keys(alternative, at: path)) { known, _ in known }
        }
        return keys
    }

    private func standard(_ key: [String: Any]) -> String {
        guard let value = key["default"] else { return "" }
        let isFlag = (key["anyOf"] as? [[String: Any]])?.contains { $0["type"] as? String == "boolean" } ?? false
        return isFlag ? "\(value as? Bool ?? false)" : "\(value)"
    }

    @Test func everyKeyStandsInTheReferenceWithItsDefault() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../docs/gateway.md")
        let rows = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").filter { line in
            ["| `gateway.", "| `upstreams.", "| `policies."].contains { line.hasPrefix($0) }
        }
        var told: [String: String] = [:]
        for row in rows {
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            let key = cells[0].trimmingCharacters(in: CharacterSet(charactersIn: "`"))
            #expect(told[key] == nil, "\(key) stands there twice")
            #expect(cells.count >= 4 && cells.last?.isEmpty == false, "\(key) is not explained")
            told[key] = cells.count > 2 ? cells[2].trimmingCharacters(in: CharacterSet(charactersIn: "`")) : ""
        }
        let known = keys(try schema()).filter { key, _ in
            ["gateway.", "upstreams.", "policies."].contains { key.hasPrefix($0) }
        }
        #expect(known.count > 150)
        for (key, value) in known {
            #expect(told[key] != nil, "docs/gateway.md has no row for `\(key)`")
            if let standard = told[key] { #expect(standard == value, "the default of \(key)") }
        }
        #expect(Set(told.keys).subtracting(known.keys).sorted() == [], "keys that there are not")
    }
}
