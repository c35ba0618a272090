import DovetailEvents

/// Which read models stand behind the tables and views that queries name.
struct TableOwners: Sendable {
    /// The projections by what they make, in small letters; of a view also those that it reads.
    private var owners: [String: Set<String>] = [:]

    /// The names of all tables and views.
    var names: Set<String> { Set(owners.keys) }

    init(_ projections: [Projection]) {
        var reads: [String: Set<String>] = [:]
        let programs = projections.flatMap { [$0] + $0.predecessors }
        for program in programs {
            for name in ProjectionTables(program, build: 1).pairs.keys {
                owners[name, default: []].insert(program.name)
            }
        }
        for program in programs {
            let watch = TableWatch(for: names)
            for statement in program.tables { watch.note(statement) }
            reads[program.name, default: []].formUnion(owners(of: watch.seen))
        }
        for name in names {
            var all = owners[name] ?? []
            var next = all
            while !next.isEmpty {
                next = Set(next.flatMap { reads[$0] ?? [] }).subtracting(all)
                all.formUnion(next)
            }
            owners[name] = all
        }
    }

    /// The projections behind some tables.
    func owners(of tables: Set<String>) -> Set<String> {
        tables.reduce(into: []) { $0.formUnion(owners[$1] ?? []) }
    }
}
