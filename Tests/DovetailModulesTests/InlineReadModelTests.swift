import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import DovetailResilience
import Testing

@testable import DovetailModules

/// A module whose read model changes in the transaction of an aggregate's events.
@Suite struct InlineReadModelTests {
    private struct ShelfAPI: Contract {
        let name = "shelves", version = 1
        let call = Endpoint.put("/shelves/{shelf}/name", Named.self, returns: Named.self).fails(taken)
        let find = Endpoint.get("/shelves", ByName.self, returns: Named.self)
        let named = Event("shelf.named", Named.self, key: \.shelf)

        static let taken = Problem("name-taken", status: 409)

        struct Named: Wire, Equatable { var shelf: String, name: String }
        struct ByName: Wire { var name: String }
    }

    private struct Shelf: Wire {
        var name: String?

        static let aggregate = Aggregate("shelf", Shelf()).apply(ShelfAPI().named) { $0.name = $1.name }
    }

    private static let names = Projection(
        "names", version: 1, tables: "CREATE TABLE names (name TEXT PRIMARY KEY, shelf TEXT NOT NULL UNIQUE)"
    )
    .on(ShelfAPI().named) { named, tables in
        try tables.execute("DELETE FROM names WHERE shelf = \(named.shelf)")
        let isFree = try tables.execute(
            "INSERT INTO names (name, shelf) VALUES (\(named.name), \(named.shelf)) ON CONFLICT DO NOTHING")
        guard isFree == 1 else { throw ShelfAPI.taken("'\(named.name)' is another's") }
    }

    private static let shelves = Module("shelves", provides: ShelfAPI()) { module in
        module.project(names, with: Shelf.aggregate)
        module.handle(\.call) { named, context in
            try await context.execute(Shelf.aggregate, named.shelf) { _ in [ShelfAPI().named(named)] }
            return named
        }
        module.handle(\.find) { query, context in
            let found = try await context.snapshot {
                try $0.row(ShelfAPI.Named.self, "SELECT shelf, name FROM names WHERE name = \(query.name)")
            }
            guard let found else { throw Problem("no-such-shelf", status: 404) }
            return found
        }
    }

    private func client(on log: any EventLog) async throws -> (Client<ShelfAPI>, ModuleRuntime) {
        let runtime = ModuleRuntime(
            module: Self.shelves.name, parts: Self.shelves.parts, log: log, views: log,
            commands: CommandExecutor(log: log))
        try await runtime.prepare()
        let table = try EndpointTable([runtime], nodeToken: nil)
        let callee = LocalCallee(
            name: "shelves", table: { table }, policies: PolicyExecutor(callee: "shelves", policy: CallPolicy()),
            throughCodec: true)
        return (Client(ShelfAPI(), callee: callee, caller: "tests"), runtime)
    }

    @Test(
        "Of callers that want one name at the same time one gets it, the others its problem; it is found at once, and after a restart"
    )
    func oneName() async throws {
        let log = try MemoryStore().log
        let (client, _) = try await client(on: log)
        let answers = await withTaskGroup(of: Int.self) { group in
            for number in 0..<20 {
                group.addTask {
                    do {
                        let named = try await client.call(.init(shelf: "s\(number)", name: "poems"))
                        let found = try await client.find(.init(name: "poems"))
                        return found == named ? 200 : 500
                    } catch let problem as Problem {
                        return problem.status
                    } catch {
                        return 0
                    }
                }
            }
            return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
        #expect(answers == [200: 1, 409: 19])
        #expect(log.head == 1)
        let (again, runtime) = try await self.client(on: log)
        let shelf = try await again.find(.init(name: "poems")).shelf
        _ = try await again.call(.init(shelf: shelf, name: "novels"))
        await #expect(throws: Problem.self) { try await again.find(.init(name: "poems")) }
        #expect(try await again.find(.init(name: "novels")).shelf == shelf)
        // Operators see it among the others.
        let builds = try await runtime.builds()
        #expect(builds.map(\.projection) == ["names"] && builds.map(\.scanned) == [log.head])
        #expect(builds.allSatisfy { $0.isFollowed && $0.state == .active && $0.version == 1 })
    }
}
