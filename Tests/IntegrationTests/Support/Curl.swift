import Foundation

/// Requests sent by `curl`: a client that is not ours.
enum Curl {
    struct Answer: Sendable {
        var status: Int
        var headers: [String: String]
        var body: String

        /// The body as JSON.
        var json: [String: Any] {
            get throws {
                try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any] ?? [:]
            }
        }
    }

    static func send(
        _ method: String = "GET", _ url: String, token: String? = nil, headers: [String] = [], body: String? = nil,
        limit: Duration = .seconds(30), further: [String] = []
    ) async throws -> Answer {
        var arguments = ["--silent", "--show-error", "--include", "--request", method, "--max-time", "25"]
        if method == "HEAD" { arguments.append("--head") }
        if let token { arguments += ["--header", "Authorization: Bearer \(token)"] }
        for header in headers { arguments += ["--header", header] }
        if body != nil {
            if !headers.contains(where: { $0.lowercased().hasPrefix("content-type") }) {
                arguments += ["--header", "Content-Type: application/json"]
            }
            arguments += ["--data-binary", "@-"]
        }
        let result = try await Shell.run("curl", arguments + further + [url], input: body, limit: limit)
        guard result.status == 0 else { throw CurlError(status: result.status, message: result.errors) }
        return try parse(result.output)
    }

    private static func parse(_ text: String) throws -> Answer {
        var rest = text.replacing("\r\n", with: "\n")[...]
        while true {
            guard let end = rest.range(of: "\n\n") else { throw CurlError(status: 0, message: "no head: \(text)") }
            let lines = rest[..<end.lowerBound].split(separator: "\n")
            rest = rest[end.upperBound...]
            let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            if status == 100 { continue }
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                headers[line[..<colon].lowercased()] =
                    line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            }
            return Answer(status: status, headers: headers, body: String(rest))
        }
    }
}

struct CurlError: Error, CustomStringConvertible {
    var status: Int32
    var message: String
    var description: String { "curl ended with \(status): \(message)" }
}
