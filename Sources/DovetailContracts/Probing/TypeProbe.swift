/// Finds the schema of a type that has no form of its own, by trying its `init(from:)` out.
///
/// It runs once with all there that may be missing, once with none of it, and then again for each value that it reads, with that value refused. A type
/// whose schema does not depend on values asks for the same each time, and stops at what is refused.
struct TypeProbe {
    private let type: any Decodable.Type

    init(_ type: any Decodable.Type) {
        self.type = type
    }

    func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        let plenty = Record(Probe(Placeholders(plenty: true)))
        let scarce = Record(Probe(Placeholders(plenty: false)))
        let failure = failure(of: plenty) ?? failure(of: scarce)
        // Where a type within has no schema, that is what to tell.
        for type in plenty.types { _ = try catalog.schema(of: type) }
        if let failure { throw failure }
        if let difference = difference(plenty, scarce) {
            throw error(difference, "whether it is read depends on what is found")
        }
        for read in 0..<plenty.probe.reads {
            let refusing = Record(Probe(Placeholders(plenty: true), refusing: read))
            _ = try? type.init(from: ProbeDecoder(record: refusing))
            if let problem = refusing.probe.problem { throw error(problem.field, problem.message) }
        }
        return try schema(of: plenty, in: &catalog)
    }

    /// Runs the initializer once; why that makes no schema, or nil.
    private func failure(of record: Record) -> SchemaError? {
        let result = Result { try type.init(from: ProbeDecoder(record: record)) }
        // What the type thinks of the placeholders says nothing once it has asked beyond them.
        if let problem = record.probe.problem { return error(problem.field, problem.message) }
        switch result {
        case .success(let value): return failure(of: value, record)
        case .failure(let failure as SchemaError): return failure
        case .failure where type is any RawRepresentable.Type:
            return SchemaError(
                type: type, "an enum has to list its cases; conform it to CaseIterable, or to SchemaProviding")
        case .failure(let failure): return error(nil, "it refuses what it is tried out with (\(failure))")
        }
    }

    private func failure(of value: Any, _ record: Record) -> SchemaError? {
        let mirror = Mirror(reflecting: value)
        guard mirror.displayStyle != .enum else {
            return error(nil, "it is an enum whose cases differ in what they hold")
        }
        // A stored property that has a key and was not asked for depends on what else was read.
        let unread = mirror.children.compactMap(\.label).first { record.hasKey(for: $0) && record[$0] == nil }
        return unread.map { error($0, "whether it is read depends on what is found") }
    }

    /// The first member that is not asked for alike in both runs.
    private func difference(_ plenty: Record, _ scarce: Record) -> String? {
        let names = plenty.asked.map(\.name) + scarce.asked.map(\.name)
        for name in names {
            guard let one = plenty[name], let other = scarce[name], one.isRequired == other.isRequired,
                // What may be missing, or null, is not read where it is.
                other.type.map({ $0 == one.type }) ?? (other.isNullable || one.members != nil)
            else { return name ?? "" }
            if let one = one.members, let other = other.members, let inner = difference(one, other) { return inner }
        }
        return nil
    }

    private func schema(of record: Record, in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        guard record.isObject else {
            guard let value = record[nil] else { return .object([]) }
            return try schema(of: value, in: &catalog)
        }
        guard record[nil] == nil else { throw error(nil, "it is read as an object and as another value") }
        var properties: [Schema.Property] = []
        for asked in record.asked {
            properties.append(
                .init(name: asked.name ?? "", schema: try schema(of: asked, in: &catalog), isRequired: asked.isRequired)
            )
        }
        return .object(properties)
    }

    private func schema(of asked: Record.Asked, in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        let schema: Schema
        switch (asked.type, asked.members) {
        case (let type?, nil): schema = try catalog.schema(of: type)
        case (nil, let members?): schema = try self.schema(of: members, in: &catalog)
        case (nil, nil): schema = .anything
        case (_?, _?): throw error(asked.name, "it is read as an object and as another value")
        }
        return asked.isNullable ? schema.orNull : schema
    }

    private func error(_ field: String?, _ message: String) -> SchemaError {
        SchemaError(
            type: type, field: field.flatMap { $0.isEmpty ? nil : $0 },
            "\(message); conform \(SchemaCatalog.name(of: type)) to SchemaProviding, to say its schema")
    }
}

extension Record {
    /// As what its values were read.
    fileprivate var types: [any Decodable.Type] {
        asked.flatMap { ($0.type.map { [$0] } ?? []) + ($0.members?.types ?? []) }
    }
}
