import DovetailContracts
import DovetailCore
import DovetailModules
import Testing

@testable import DovetailGateway
@testable import DovetailPlatform

private struct Item: Wire { var id: String }

private struct ItemsAPI: Contract {
    let name = "items", version = 1
    let get = Endpoint.get("/items/{id}", Item.self, returns: Item.self)
    let find = Endpoint.get("/found/{id}", Item.self, returns: Item.self)
}

private struct NotesAPI: Contract {
    let name = "notes", version = 1
    let get = Endpoint.get("/notes/{id}", Item.self, returns: Item.self)
}

/// A contract's endpoints are routes of one section, which shares its limits; contracts below one prefix are sections of their own.
@Suite struct SectionLimitTests {
    @Test func endpointsOfAContractShareTheLimitsOfTheirSection() throws {
        let modules = [
            Module("items", provides: ItemsAPI()) { module in
                module.handle(\.get) { input, _ in input }
                module.handle(\.find) { input, _ in input }
            },
            Module("notes", provides: NotesAPI()) { module in module.handle(\.get) { input, _ in input } },
        ]
        let text = """
            version: 1
            platform: test
            nodes: { main: { modules: [items, notes], store: { engine: memory } } }
            gateway:
              node: main
              routes:
                - { contract: items@1, path: /api, authentication: none, maxInFlight: 5, rateLimit: { rate: 1/h } }
                - { contract: notes@1, path: /api, authentication: none, rateLimit: { rate: 2/h } }
            """
        let plan = try RoutePlan(parse(text), catalog: ModuleCatalog(modules), folder: ".")
        let routes = try #require(plan.compiled).routes
        #expect(routes.count == 3)
        let items = routes.filter { $0.id.hasPrefix("items@1") }
        #expect(items.count == 2)
        #expect(Set(items.map(\.section)) == ["items@1 /api"])
        #expect(routes.first { $0.id.hasPrefix("notes@1") }?.section == "notes@1 /api")
    }
}
