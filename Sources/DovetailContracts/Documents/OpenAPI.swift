import DovetailCore
import HTTPTypes

/// Documents of contracts, by the OpenAPI Specification 3.1.
public enum OpenAPI {
    /// The document of contracts: their endpoints as paths, and their events under `x-events`.
    ///
    /// Paths begin with the version (`/v1/orders`), operations are called `orders.place`, from the second version on `orders.v2.place`. Throws if a type
    /// has no schema.
    /// - Parameter servers: The URLs at which the paths are served; none for where the document was got.
    public static func document(
        for contracts: [any Contract], title: String, servers: [String] = []
    ) throws(SchemaError) -> JSONValue {
        var catalog = SchemaCatalog()
        var paths: [JSONValue.Member] = []
        var events: [JSONValue] = []
        for contract in contracts {
            for endpoint in contract.endpoints {
                let operation = try Operation(endpoint, in: &catalog).json
                let path = endpoint.versionedPath.description
                let place = paths.firstIndex { $0.name == path } ?? paths.count
                if place == paths.count { paths.append(.init(path, [:])) }
                paths[place].value[endpoint.method.rawValue.lowercased()] = operation
            }
            for event in contract.events {
                events.append([
                    "name": .string(event.name), "version": .integer(Int64(event.version)),
                    "contract": .string(contract.identity),
                    "payload": try catalog.schema(of: event.payload).json(definitionsAt: schemas),
                ])
            }
        }
        let isSecured = contracts.contains { $0.endpoints.contains { !$0.scopes.isEmpty } }
        var document: JSONValue = .object(present: [
            "openapi": "3.1.0",
            "info": [
                "title": .string(title), "version": .string(contracts.map(\.identity).joined(separator: ", ")),
            ],
            "servers": .array(nonEmpty: servers.map { ["url": .string($0)] }),
            "tags": .array(nonEmpty: contracts.map { ["name": .string($0.identity)] }),
            "paths": .object(paths),
            "x-events": .array(nonEmpty: events),
        ])
        document["components"] = .object(present: [
            "schemas": catalog.json(definitionsAt: schemas, for: document),
            "securitySchemes": isSecured
                ? [security: ["type": "http", "scheme": "bearer", "bearerFormat": "JWT"]] : nil,
        ])
        return document
    }

    static let schemas = "#/components/schemas/"
    static let security = "bearer"
}
