import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailModules

extension ModuleBuilder<AdminAPI> {
    /// What an operator may ask about read models and what is stored, and do with them.
    mutating func handleProjections(of node: Node) {
        let log = node.store.log
        handle(\.projections) { _, _ in
            var builds: [AdminAPI.ProjectionList.Build] = []
            for runtime in node.runtimes {
                builds += try await runtime.builds().map { .init($0, of: runtime.module, head: log.head) }
            }
            return .init(builds: builds)
        }
        handle(\.rebuildProjection) { query, _ in
            try await node.change(query.module, query.projection, "rebuilding") {
                try await $0.rebuild(query.projection, switching: query.switching ?? false)
            }
        }
        handle(\.switchProjection) { query, _ in
            try await node.change(query.module, query.projection, "switched") {
                try await $0.makeActive(query.projection)
            }
        }
        handle(\.rollBackProjection) { query, _ in
            try await node.change(query.module, query.projection, "rolledback") {
                try await $0.rollBack(query.projection)
            }
        }
        handle(\.dropProjection) { query, _ in
            try await told {
                try await node.readModel(of: query.module, keeping: query.projection).drop(
                    query.projection, build: query.build)
                try await node.record("dropped", query.module, query.projection, build: query.build)
            }
        }
        handle(\.checkStored) { _, _ in
            .reporting { report in
                let result = try await node.storedEventCheck.run(on: log) {
                    report(.init(number: $0, head: log.head))
                }
                report(
                    .init(
                        number: result.head, head: result.head, events: result.events,
                        findings: result.findings.map {
                            .init(
                                type: $0.type, version: $0.version, part: $0.part, count: $0.count, first: $0.first,
                                reason: $0.reason)
                        }, unread: result.unread))
            } failing: {
                .init(number: 0, head: 0, failure: $0)
            }
        }
    }
}

extension AdminAPI.ProjectionList.Build {
    fileprivate init(_ build: ProjectionBuild, of module: String, head: Int64) {
        self.init(
            module: module, projection: build.projection, build: build.number, version: build.version,
            state: build.state.rawValue, scanned: build.scanned, lag: max(0, head - build.scanned),
            isFollowed: build.isFollowed, parked: build.parked,
            blocked: build.blocked.map { "\($0.type) at \($0.position), tried \($0.attempts) times: \($0.error)" },
            startedAt: build.startedAt)
    }
}

extension Node {
    /// The read models of a module, to change the builds of one.
    func readModel(of module: String, keeping projection: String) throws -> ReadModel {
        guard let runtime = runtimes.first(where: { $0.module == module }) else {
            throw LogError(
                .statement, module,
                "there is no such module on this node; there are \(runtimes.map(\.module).joined(separator: ", "))")
        }
        guard !runtime.parts.inlineProjections.contains(where: { $0.projection.name == projection }) else {
            throw LogError(
                .statement, projection,
                "it changes with the events of its aggregate and has no other build; raise its version, and it is made afresh when the node starts"
            )
        }
        return runtime.readModel
    }

    /// Does something to a read model, and puts it on record.
    fileprivate func change(
        _ module: String, _ projection: String, _ action: String,
        _ body: (ReadModel) async throws -> ProjectionBuild
    ) async throws -> AdminAPI.ProjectionList.Build {
        try await toldResult {
            let build = try await body(try readModel(of: module, keeping: projection))
            try await record(action, module, projection, build: build.number)
            return .init(build, of: module, head: store.log.head)
        }
    }

    fileprivate func record(_ action: String, _ module: String, _ projection: String, build: Int) async throws {
        try await store.log.record(
            Intervention(action: action, subscription: "\(module)/\(projection)", detail: "build \(build)"))
    }

    /// All parts of the platform that read events: the contracts of all modules, and what the modules of this node decide on and show.
    fileprivate var storedEventCheck: StoredEventCheck {
        let declared = catalog.looked.flatMap(\.parts.contracts).flatMap(\.events).map(EventReader.init)
        var readers = [EventReaders("the contracts", declared)] + runtimes.flatMap(\.parts.aggregates)
        for parts in runtimes.map(\.parts) {
            readers += (parts.projections + parts.inlineProjections.map(\.projection)).map(\.eventReaders)
            readers += parts.sagas.map(\.eventReaders)
        }
        return StoredEventCheck(readers)
    }
}
