import DovetailCore

/// Looks a contract over.
struct ContractCheck {
    private let contract: any Contract

    init(_ contract: any Contract) {
        self.contract = contract
    }

    var findings: [ContractFinding] {
        name + contract.endpoints.flatMap(findings)
            + twins(contract.endpoints, by: \.shape) { endpoint, other in
                error(endpoint, "'\(other.name)' has the same method and path; nothing tells them apart")
            } + contract.events.flatMap(findings)
            + twins(contract.events, by: { "\($0.name)@\($0.version)" }) { event, _ in
                error(
                    "\(event.name)",
                    "the event is declared twice in version \(event.version); give the new one another version")
            }
    }

    private func error(_ place: String, _ message: String) -> ContractFinding {
        .init(severity: .error, place: "\(contract.identity) \(place)", message: message)
    }

    private func error(_ endpoint: EndpointDescription, _ message: String) -> ContractFinding {
        error(endpoint.key, message)
    }

    private var name: [ContractFinding] {
        var findings: [ContractFinding] = []
        let fits = contract.name.utf8.allSatisfy {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
        }
        if contract.name.isEmpty || !fits {
            findings.append(
                error("name", "a contract's name is lower-case letters, digits and hyphens, as in gift-cards"))
        }
        if contract.version < 1 {
            findings.append(error("version", "versions begin with 1; this is \(contract.version)"))
        }
        return findings
    }

    private func twins<Part>(
        _ parts: [Part], by key: (Part) -> String, _ finding: (Part, Part) -> ContractFinding
    ) -> [ContractFinding] {
        var seen: [String: Part] = [:]
        return parts.compactMap { part in
            if let other = seen[key(part)] { return finding(part, other) }
            seen[key(part)] = part
            return nil
        }
    }

    private func findings(_ endpoint: EndpointDescription) -> [ContractFinding] {
        var findings: [ContractFinding] = []
        if let output = endpoint.output {
            do throws(SchemaError) { _ = try Schema.document(of: output) } catch {
                findings.append(self.error(endpoint, "the answer has no schema: \(error)"))
            }
        }
        for problem in endpoint.problems where !(400...599).contains(problem.status) {
            findings.append(
                error(
                    endpoint,
                    "the problem '\(problem.type)' has the status \(problem.status), which is no failure; take one from 400 to 599"
                ))
        }
        do throws(SchemaError) {
            var catalog = SchemaCatalog()
            return findings + parameters(of: endpoint, try catalog.schema(of: endpoint.input), catalog)
        } catch {
            return findings + [self.error(endpoint, "the input has no schema: \(error)")]
        }
    }

    /// What comes as text, from the path or the query, has to fit into text.
    private func parameters(
        of endpoint: EndpointDescription, _ input: Schema, _ catalog: SchemaCatalog
    ) -> [ContractFinding] {
        guard case .object(let properties) = catalog.resolved(input).shape else {
            return endpoint.path.parameters.isEmpty && !endpoint.takesQuery
                ? [] : [error(endpoint, "the input comes from path or query, and is no object with fields")]
        }
        let inPath = endpoint.path.parameters
        var findings: [ContractFinding] = []
        for name in Set(inPath).sorted() {
            guard let property = properties.first(where: { $0.name == name }) else {
                let fields = properties.map(\.name).joined(separator: ", ")
                findings.append(
                    error(
                        endpoint,
                        "the input has no field '\(name)' for {\(name)} of the path; it has \(fields.isEmpty ? "none" : fields)"
                    ))
                continue
            }
            if !catalog.isScalar(property.schema) {
                findings.append(error(endpoint, "the field '\(name)' comes from the path, and is more than one value"))
            } else if !property.isRequired {
                findings.append(
                    .init(
                        severity: .warning, place: "\(contract.identity) \(endpoint.key)",
                        message:
                            "the field '\(name)' comes from the path, where it is always there; it need not be optional"
                    ))
            }
        }
        if Set(inPath).count < inPath.count {
            findings.append(error(endpoint, "the path names a parameter twice"))
        }
        guard endpoint.takesQuery else { return findings }
        for property in properties where !inPath.contains(property.name) {
            var schema = catalog.resolved(property.schema)
            if case .array(let element, _) = schema.shape { schema = element }
            if !catalog.isScalar(schema) {
                findings.append(
                    error(
                        endpoint,
                        "the field '\(property.name)' comes from the query, and is neither one value nor a list of such"
                    ))
            }
        }
        return findings
    }

    private func findings(_ event: EventDescription) -> [ContractFinding] {
        do throws(SchemaError) {
            _ = try Schema.document(of: event.payload)
            return event.version < 1 ? [error(event.name, "versions begin with 1; this is \(event.version)")] : []
        } catch {
            return [self.error(event.name, "the payload has no schema: \(error)")]
        }
    }
}

extension SchemaCatalog {
    /// Whether a value can be said in a word, as in a path.
    fileprivate func isScalar(_ schema: Schema) -> Bool {
        switch resolved(schema).shape {
        case .boolean, .integer, .number, .string, .base64, .choice, .constant, .anything: true
        case .array, .map, .object, .oneOf, .type, .reference: false
        }
    }
}

extension EndpointDescription {
    /// Method and path, whatever the parameters are called.
    fileprivate var shape: String {
        "\(method.rawValue) "
            + path.segments.map { if case .literal(let text) = $0 { "/\(text)" } else { "/{}" } }.joined()
    }
}
