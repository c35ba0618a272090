import DovetailCore
import HTTPTypes

/// An endpoint as an OpenAPI operation.
struct Operation {
    private let endpoint: EndpointDescription
    private let input: Schema
    /// Whether the input is an object with fields, and so can come from several places.
    private let isObject: Bool
    private let properties: [Schema.Property]
    private let output: Schema?
    private let problem: Schema

    init(_ endpoint: EndpointDescription, in catalog: inout SchemaCatalog) throws(SchemaError) {
        self.endpoint = endpoint
        input = try catalog.schema(of: endpoint.input)
        properties = catalog.properties(of: input)
        if case .object = catalog.resolved(input).shape { isObject = true } else { isObject = false }
        output = try endpoint.output.map { type throws(SchemaError) in try catalog.schema(of: type) }
        problem = try catalog.schema(of: Problem.self)
    }

    var json: JSONValue {
        let (name, version) = endpoint.contract
        return .object(present: [
            "operationId": .string(version == 1 ? "\(name).\(endpoint.name)" : "\(name).v\(version).\(endpoint.name)"),
            "tags": [.string("\(name)@\(version)")],
            "parameters": .array(nonEmpty: parameters),
            "requestBody": body,
            "responses": .object(responses),
            "security": endpoint.scopes.isEmpty
                ? nil : [[OpenAPI.security: .array(endpoint.scopes.map { .string($0) })]],
        ])
    }

    private var parameters: [JSONValue] {
        let inPath = endpoint.path.parameters
        var parameters = inPath.map { name in
            parameter(name, in: "path", properties.first { $0.name == name }?.schema ?? .string, isRequired: true)
        }
        if endpoint.takesQuery {
            parameters += properties.filter { !inPath.contains($0.name) }.map {
                parameter($0.name, in: "query", $0.schema, isRequired: $0.isRequired)
            }
        }
        if endpoint.idempotency == .key {
            parameters.append(parameter("Idempotency-Key", in: "header", .string(length: 1...255), isRequired: false))
        }
        return parameters
    }

    private func parameter(_ name: String, in place: String, _ schema: Schema, isRequired: Bool) -> JSONValue {
        // Text has no way to say null: a parameter is there or is not.
        var schema = schema
        schema.isNullable = false
        return .object(present: [
            "name": .string(name), "in": .string(place), "required": isRequired ? true : nil,
            "schema": schema.json(definitionsAt: OpenAPI.schemas),
        ])
    }

    private var body: JSONValue? {
        guard !endpoint.takesQuery else { return nil }
        let inPath = endpoint.path.parameters
        let inBody = properties.filter { !inPath.contains($0.name) }
        if isObject, inBody.isEmpty { return nil }
        let schema = isObject && !inPath.isEmpty ? .object(inBody) : input
        // An object of which nothing has to be there need not be there itself.
        let isRequired = !isObject || inBody.contains(where: \.isRequired)
        return .object(present: [
            "required": isRequired ? true : nil,
            "content": ["application/json": ["schema": schema.json(definitionsAt: OpenAPI.schemas)]],
        ])
    }

    private var responses: [JSONValue.Member] {
        let success: JSONValue.Member
        if let output, let contentType = endpoint.contentType {
            success = .init(
                "200",
                [
                    "description": endpoint.isStream ? "A JSON document a line, as they come" : "The answer",
                    "content": [contentType: ["schema": output.json(definitionsAt: OpenAPI.schemas)]],
                ])
        } else {
            success = .init("204", ["description": "Done"])
        }
        var problems = endpoint.problems
        if !properties.isEmpty || !isObject { problems.append(.invalidInput([])) }
        if !endpoint.scopes.isEmpty {
            problems.append(Problem("unauthenticated", status: 401))
            problems.append(Problem("forbidden", status: 403))
        }
        let groups = Dictionary(grouping: problems, by: \.status).sorted { $0.key < $1.key }
        return [success] + groups.map { .init("\($0.key)", response($0.value)) }
            + [.init("default", response([Problem("problem", status: 500, title: "Any other problem")]))]
    }

    private func response(_ problems: [Problem]) -> JSONValue {
        .object(present: [
            "description": .string(problems.map(\.title).joined(separator: "; or: ")),
            "content": ["application/problem+json": ["schema": problem.json(definitionsAt: OpenAPI.schemas)]],
        ])
    }
}
