import DovetailPlatform
import Foundation
import TestSupport
import Testing

@Suite struct SchemaTests {
    private func schema() throws -> [String: Any] {
        let data = Data(PlatformConfiguration.jsonSchema().utf8)
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    /// Every mapping that the schema describes, with a way to it through the file.
    private func sections(
        _ schema: [String: Any], at path: [String] = []
    ) -> [(path: [String], properties: [String: [String: Any]])] {
        var result: [(path: [String], properties: [String: [String: Any]])] = []
        if let properties = schema["properties"] as? [String: [String: Any]] {
            result.append((path, properties))
            for (key, value) in properties { result += sections(value, at: path + [key]) }
        }
        if let values = schema["additionalProperties"] as? [String: Any] {
            result += sections(values, at: path + ["x"])
        }
        if let items = schema["items"] as? [String: Any] { result += sections(items, at: path + ["[]"]) }
        for alternative in schema["anyOf"] as? [[String: Any]] ?? [] { result += sections(alternative, at: path) }
        return result
    }

    /// A file in which the mapping at a path has these keys.
    private func file(_ path: [String], keys: some Sequence<String>) -> String {
        var value: Any = Dictionary(uniqueKeysWithValues: keys.map { ($0, [Int]()) })
        for step in path.reversed() { value = step == "[]" ? [value] : [step: value] }
        let data = try? JSONSerialization.data(withJSONObject: value, options: [.sortedKeys])
        return String(decoding: data ?? Data(), as: UTF8.self)
    }

    @Test func describesEveryKeyThatIsReadAndNoOther() throws {
        let sections = sections(try schema())
        #expect(sections.count > 20)
        for section in sections {
            let known = issues(in: file(section.path, keys: section.properties.keys))
            #expect(!known.contains { $0.contains("unknown key") }, "\(section.path): \(known)")
            let reserved = section.properties.filter { $0.value["not"] != nil }.keys
            #expect(known.count { $0.contains("is not supported yet (") } == reserved.count, "\(section.path)")
            // The reader itself lists what it knows.
            let unknown = issues(in: file(section.path, keys: ["zzzzzzzzzzzzzzzz"]))
            let listed = try #require(
                unknown.compactMap { $0.components(separatedBy: "; expected one of ").dropFirst().first }.first)
            #expect(listed.components(separatedBy: ", ") == section.properties.keys.sorted(), "\(section.path)")
        }
    }

    @Test func saysWhatEveryKeyMeans() throws {
        for section in sections(try schema()) {
            for (key, value) in section.properties {
                let text = value["description"] as? String ?? ""
                #expect(text.hasSuffix(".") || text.hasPrefix("Not supported yet: "), "\(section.path) \(key): \(text)")
            }
        }
    }

    private let validate = """
        import json, sys, yaml, jsonschema
        schema, documents = json.load(sys.stdin)
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        print("".join("1" if validator.is_valid(yaml.safe_load(d)) else "0" for d in documents))
        """

    private func verdicts(_ documents: [String]) throws -> String {
        let input = try JSONSerialization.data(withJSONObject: [try schema(), documents])
        return try PythonOracle.run(validate, input: String(decoding: input, as: UTF8.self))
    }

    @Test(.enabled(if: PythonOracle.has("jsonschema, yaml")))
    func acceptsWhatTheReaderAccepts() throws {
        let good = [
            sketch, minimal(), minimal("telemetry: { accessLog: off }"),
            minimal("admin: { listen: \"${ADMIN:-unix:x}\" }"),
            minimal("policies: { a: { retry: none, circuitBreaker: { failureRate: 0.25 } } }"),
            minimal("upstreams: { a: { servers: [\"http://[::1]:80/\"], waiting: 0 } }"),
            minimal(
                "upstreams: { a: { servers: [\"https://a\"], tls: { serverName: b }, loadBalancing: consistent-hash, hashBy: \"header:x\", healthCheck: { path: /, statuses: 200 } } }"
            ),
            minimal(
                """
                gateway:
                  node: main
                  tls: { certificates: [{ chain: a.pem, key: a.key }] }
                  routes:
                    - { path: /a, authentication: none, split: { a: 1 }, headers: { X-Beta: "1" }, query: { "a b": "*" } }
                    - { path: /b, authentication: none, redirect: { scheme: https, host: "a.example:8443", status: 301 } }
                    - { path: /c, authentication: none, upstream: a, addresses: { allow: [10.0.0.0/8, "::1"] } }
                    - { path: /d, authentication: none, upstream: a, responseHeaders: { set: { Sunset: "x" }, remove: server } }
                upstreams: { a: { servers: ["http://a"] } }
                """),
            minimal("gateway: { node: main, limits: { maxBody: 1024 }, cors: { allowOrigins: \"*\", maxAge: 0s } }"),
        ]
        for text in good { #expect(issues(in: text) == []) }
        #expect(try verdicts(good) == String(repeating: "1", count: good.count) + "\n")
    }

    @Test(.enabled(if: PythonOracle.has("jsonschema, yaml")))
    func refusesWhatTheReaderRefuses() throws {
        let bad = [
            "[]", "version: 1", minimal("gateway: {}"), minimal("zebra: 1"), sketch.replacing("100/s", with: "fast"),
            sketch.replacing("authentication: none", with: "scopes: []"),
            sketch.replacing("contract: orders@1", with: "host: a"),
            sketch.replacing("15s", with: "15"), sketch.replacing("50%", with: "many"),
            sketch.replacing("ES256", with: "none"),
            sketch.replacing("attempts: 3", with: "attempts: 0"), sketch.replacing("least-request", with: "fastest"),
            minimal("telemetry: { otlp: {} }"), minimal("nodes: { 1a: {} }"),
            minimal("upstreams: { a: { servers: [] } }"),
        ]
        for text in bad { #expect(issues(in: text) != [], "\(text)") }
        #expect(try verdicts(bad.filter { !$0.contains("1a") }) == String(repeating: "0", count: bad.count - 1) + "\n")
    }
}
