import DovetailCore
import Foundation

/// How a request that another is made of has ended.
enum PartOutcome {
    case answer(SubrequestAnswer)
    /// There was none, or none that could be used.
    case problem(Problem)
}

/// The answers of a batch, or of the parts of an aggregate, as one JSON document. Bodies that are JSON stand in it as they came.
enum GatheredAnswers {
    /// The answers of a batch in its order, each with `status`, `headers` and `body`, or `bodyBase64` for what is no JSON.
    static func batch(_ entries: [(id: [UInt8]?, outcome: PartOutcome)]) -> [UInt8] {
        var json: [UInt8] = [UInt8(ascii: "[")]
        for (index, entry) in entries.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            json.append(UInt8(ascii: "{"))
            if let id = entry.id { json += Array(#""id":"#.utf8) + id + [UInt8(ascii: ",")] }
            let answer = answer(entry.outcome)
            json += Array(#""status":\#(answer.status),"headers":"#.utf8)
            json += encoded(headers(answer))
            if isJSON(answer) {
                json += Array(#","body":"#.utf8) + answer.body
            } else if !answer.body.isEmpty {
                json += Array(#","bodyBase64":""#.utf8) + Data(answer.body).base64EncodedData()
                json.append(UInt8(ascii: "\""))
            }
            json.append(UInt8(ascii: "}"))
        }
        json.append(UInt8(ascii: "]"))
        return json
    }

    /// The parts of an aggregate by their names, null for those that failed, which `errors` tells of.
    ///
    /// Throws a ``Problem`` that names the first required part that failed.
    static func aggregate(
        _ parts: [(part: AggregatePlan.Part, outcome: PartOutcome)]
    ) throws(Problem) -> [UInt8] {
        var json: [UInt8] = [UInt8(ascii: "{")]
        var errors: [UInt8] = []
        for (index, (part, outcome)) in parts.enumerated() {
            if index > 0 { json.append(UInt8(ascii: ",")) }
            let name = encoded(part.name)
            json += name + [UInt8(ascii: ":")]
            let problem: Problem
            switch outcome {
            case .problem(let found): problem = found
            case .answer(let answer) where 200..<300 ~= answer.status:
                if answer.body.isEmpty || isJSON(answer) {
                    json += answer.body.isEmpty ? Array("null".utf8) : answer.body
                    continue
                }
                problem = Problem("no-json", status: 502)("it was answered with something other than JSON")
            case .answer(let answer): problem = told(answer)
            }
            if part.isRequired { throw failure(of: part, problem) }
            json += Array("null".utf8)
            errors += (errors.isEmpty ? [] : [UInt8(ascii: ",")]) + name + [UInt8(ascii: ":")] + encoded(problem)
        }
        if !errors.isEmpty {
            json += Array(#","\#(AggregatePlan.errors)":{"#.utf8) + errors + [UInt8(ascii: "}")]
        }
        json.append(UInt8(ascii: "}"))
        return json
    }

    /// What the whole is answered where a part that it needs failed: the caller's fault stays the caller's.
    private static func failure(of part: AggregatePlan.Part, _ problem: Problem) -> Problem {
        let status =
            400..<500 ~= problem.status || problem.status == 503 || problem.status == 504 ? problem.status : 502
        var failure = Problem("part-failed", status: status)
        failure.detail = "the part '\(part.name)' was answered \(problem.status) \(problem.type)"
        if let detail = problem.detail { failure.detail? += ": \(detail)" }
        failure.retryAfter = problem.retryAfter
        return failure
    }

    /// What a failed answer says of itself.
    private static func told(_ answer: SubrequestAnswer) -> Problem {
        if answer.value("content-type")?.hasPrefix("application/problem+json") ?? false,
            var problem = try? JSON.decode(Problem.self, from: answer.body)
        {
            problem.status = answer.status
            return problem
        }
        return Problem("status-\(answer.status)", status: answer.status)
    }

    private static func answer(_ outcome: PartOutcome) -> SubrequestAnswer {
        switch outcome {
        case .answer(let answer): return answer
        case .problem(let problem):
            return SubrequestAnswer(
                status: problem.status, fields: [("content-type", "application/problem+json")],
                body: encoded(problem))
        }
    }

    /// Header fields by name; lines of one name are one value, but for cookies, which are a list (RFC 9110 5.3).
    private static func headers(_ answer: SubrequestAnswer) -> JSONValue {
        var headers = JSONValue.object([])
        for (name, value) in answer.fields {
            switch headers[name] {
            case .string(let known): headers[name] = .string("\(known), \(value)")
            case .array(let known): headers[name] = .array(known + [.string(value)])
            default: headers[name] = name == "set-cookie" ? .array([.string(value)]) : .string(value)
            }
        }
        return headers
    }

    private static func isJSON(_ answer: SubrequestAnswer) -> Bool {
        let type = answer.value("content-type")?.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
        guard let type, type == "application/json" || type.hasSuffix("+json") else { return false }
        return JSON.isDocument(answer.body)
    }

    private static func encoded(_ value: some Encodable) -> [UInt8] { (try? JSON.encode(value)) ?? Array("null".utf8) }
}
