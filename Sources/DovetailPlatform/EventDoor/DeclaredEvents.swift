import DovetailContracts
import DovetailCore
import DovetailEvents

/// The events that the platform's contracts declare: what comes from outside under their names has to be what they say.
struct DeclaredEvents: Sendable {
    private struct Kind: Hashable {
        let name: String
        let version: Int
    }

    private var schemas: [Kind: Schema] = [:]
    private var versions: [String: [Int]] = [:]
    /// Kinds that hold personal data.
    private var personal: Set<Kind> = []
    private let validator: SchemaValidator

    /// The events of contracts. An event whose payload has no schema is not held against one.
    init(_ contracts: [any Contract]) {
        var catalog = SchemaCatalog()
        var found: [(Kind, Schema)] = []
        for event in contracts.flatMap(\.events) {
            versions[event.name, default: []].append(event.version)
            if holdsPersonalData(event.payload) { personal.insert(Kind(name: event.name, version: event.version)) }
            if let schema = try? catalog.schema(of: event.payload) {
                found.append((Kind(name: event.name, version: event.version), schema))
            }
        }
        schemas = Dictionary(found) { first, _ in first }
        validator = SchemaValidator(catalog)
    }

    var isEmpty: Bool { versions.isEmpty }

    /// Throws a problem if the event is not what a contract says of its type; `index` names it in a batch.
    func check(_ event: CloudEvent, _ draft: EventDraft, acceptsUndeclared: Bool, index: Int?) throws {
        guard !event.type.hasPrefix("dovetail.") else {
            throw Problem("forbidden", status: 403)("'\(event.type)' is the platform's own to publish")
        }
        guard !personal.contains(Kind(name: event.type, version: draft.version)) else {
            throw Problem("personal-data", status: 422)(
                "'\(event.type)' holds personal data, which is sealed for its subject by the module that publishes it: send it to an endpoint of that module"
            )
        }
        guard let known = versions[event.type] else {
            if acceptsUndeclared { return }
            throw Problem.unknownType(
                "no contract of this platform declares the type '\(event.type)'", at: index, "type")
        }
        guard known.contains(draft.version) else {
            throw Problem.unknownType(
                "'\(event.type)' has the versions \(known.sorted().map(String.init).joined(separator: ", ")), not \(draft.version)",
                at: index, "dataversion")
        }
        guard let schema = schemas[Kind(name: event.type, version: draft.version)] else { return }
        let violations: [Problem.Violation]
        if let data = event.data, event.holdsJSON, let value = try? JSON.decode(JSONValue.self, from: data) {
            violations = validator.violations(of: schema, by: value)
        } else {
            violations = [.init(pointer: "", expected: "expected JSON")]
        }
        guard violations.isEmpty else {
            var problem = Problem.invalidInput(
                violations.map {
                    .init(pointer: "\(index.map { "/\($0)" } ?? "")/data\($0.pointer)", expected: $0.expected)
                })
            problem.status = 422
            throw problem
        }
    }
}

extension Problem {
    fileprivate static func unknownType(_ detail: String, at index: Int?, _ attribute: String) -> Problem {
        var problem = Problem("unknown-event-type", status: 422)(detail)
        problem.violations = [.init(pointer: "\(index.map { "/\($0)" } ?? "")/\(attribute)", expected: detail)]
        return problem
    }
}
