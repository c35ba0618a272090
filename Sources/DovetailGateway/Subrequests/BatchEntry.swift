import DovetailCore

/// One request of a batch, as it was written: what is wrong with it is its own matter.
struct BatchEntry {
    /// A request that can be sent.
    struct Request {
        var method: Method
        var target: [UInt8]
        /// Fields in order, names in lower case.
        var fields: [(name: [UInt8], value: [UInt8])]
        var body: [UInt8]
    }

    /// The entry's own name for itself, as JSON; nil if it has none.
    var id: [UInt8]?
    var request: Result<Request, Problem>

    /// Reads the entries of a batch; throws a ``Problem`` if it is none, or has too many.
    static func read(_ body: [UInt8], upTo maximum: Int) throws -> [BatchEntry] {
        let elements: [Range<Int>]
        do {
            elements = try JSON.elements(of: body)
        } catch {
            throw Problem("malformed-batch", status: 400)(
                "a batch is a JSON array of { id, method, path, headers, body }: \(error)")
        }
        guard !elements.isEmpty, elements.count <= maximum else {
            throw Problem("malformed-batch", status: 400)(
                "a batch here has 1 to \(maximum) requests, and this one has \(elements.count)")
        }
        return elements.map { BatchEntry(Array(body[$0])) }
    }

    private init(_ bytes: [UInt8]) {
        do {
            let members = try JSON.members(of: bytes).map { (name: $0.name, value: Array(bytes[$0.value])) }
            id = members.first { $0.name == "id" }?.value
            request = .success(try BatchEntry.request(members))
        } catch let problem as Problem {
            request = .failure(problem)
        } catch {
            request = .failure(BatchEntry.malformed("an entry is an object: { id, method, path, headers, body }"))
        }
    }

    private static func malformed(_ detail: String) -> Problem { Problem("malformed-entry", status: 400)(detail) }

    private static func request(_ members: [(name: String, value: [UInt8])]) throws -> Request {
        let known = ["id", "method", "path", "headers", "body", "bodyBase64"]
        if let unknown = members.first(where: { !known.contains($0.name) }) {
            throw malformed("an entry has no member '\(unknown.name)'; expected \(known.joined(separator: ", "))")
        }
        func text(_ name: String) throws -> [UInt8] {
            guard let value = members.first(where: { $0.name == name })?.value,
                let text = try? JSON.decode(String.self, from: value)
            else { throw malformed("'\(name)' has to be there, as a string") }
            return Array(text.utf8)
        }
        guard let method = try text("method").withUnsafeBytes({ Method($0) }) else {
            throw malformed("the method has to be GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
        }
        let target = try text("path")
        guard target.first == UInt8(ascii: "/"), target.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw malformed("the path has to begin with a slash, with everything escaped that is no visible ASCII")
        }
        var request = Request(method: method, target: target, fields: [], body: [])
        if let headers = members.first(where: { $0.name == "headers" })?.value {
            request.fields = try fields(headers)
        }
        let json = members.first { $0.name == "body" }?.value
        let base64 = members.first { $0.name == "bodyBase64" }?.value
        guard json == nil || base64 == nil else { throw malformed("a body is 'body' or 'bodyBase64', not both") }
        if let json {
            request.body = json
            if !request.fields.contains(where: { $0.name.elementsEqual("content-type".utf8) }) {
                request.fields.append((Array("content-type".utf8), Array("application/json".utf8)))
            }
        } else if let base64 {
            guard let text = try? JSON.decode(String.self, from: base64),
                let body = Array(text.utf8).withUnsafeBytes({ Base64URL.decodeStandard($0[...]) })
            else { throw malformed("'bodyBase64' has to be a string in base64 (RFC 4648 4)") }
            request.body = body
        }
        return request
    }

    private static func fields(_ json: [UInt8]) throws -> [(name: [UInt8], value: [UInt8])] {
        guard let members = try? JSON.members(of: json) else { throw malformed("'headers' has to be an object") }
        return try members.map { member in
            let name = member.name.utf8.map(lowercased)
            guard let text = try? JSON.decode(String.self, from: Array(json[member.value])), !name.isEmpty,
                name.allSatisfy(ByteClass.token.contains), text.utf8.allSatisfy(isFieldValueByte)
            else { throw malformed("the header '\(member.name)' needs a header's name, and a string for its value") }
            switch name.withUnsafeBytes({ KnownField.of($0) }) {
            case .other, .idempotencyKey, .dovetailAfter, .causationID, .vary, .date: break
            case .authorization: throw malformed("entries go with the batch's own credentials")
            default: throw malformed("the header '\(member.name)' is the gateway's own to write")
            }
            return (name, Array(text.utf8))
        }
    }
}
