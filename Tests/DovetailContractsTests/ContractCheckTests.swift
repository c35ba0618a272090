import DovetailCore
import Foundation
import Testing

@testable import DovetailContracts

/// Mistakes in contracts are found before anything runs.
@Suite struct ContractCheckTests {
    private struct One: Wire { var id: String }
    private struct Loose: Wire { var id: String? }
    private struct Wide: Wire { var id: [String] }
    private struct Deep: Wire { var inner: One }
    private struct Listed: Wire { var ids: [String], when: Date? }
    private enum Payload: Wire { case some(Int) }

    private struct Trial: Contract {
        var name = "trial", version = 1
        var endpoint: any AnyEndpoint
        var other: any AnyEndpoint = Endpoint.get("/elsewhere", Listed.self, returns: One.self)
        var event: (any AnyEvent)?
        var twin: (any AnyEvent)?
    }

    private func findings(_ endpoint: any AnyEndpoint) -> [ContractFinding] { Trial(endpoint: endpoint).findings }

    @Test("A sound contract has no findings")
    func sound() {
        #expect(LibraryAPI().findings == [])
        #expect(findings(Endpoint.get("/a/{id}", One.self, returns: One.self)) == [])
    }

    @Test("Parameters of the path that the input has not, or that are no single value")
    func path() {
        #expect(
            findings(Endpoint.get("/a/{key}", One.self, returns: One.self)).first?.message.contains("no field 'key'")
                == true)
        #expect(findings(Endpoint.get("/a/{id}", Wide.self, returns: One.self)).first?.severity == .error)
        #expect(findings(Endpoint.get("/a/{id}", Loose.self, returns: One.self)).first?.severity == .warning)
        #expect(findings(Endpoint.put("/a/{id}/{id}", One.self, returns: One.self)).first?.severity == .error)
        #expect(findings(Endpoint.put("/a/{id}", [One].self, returns: One.self)).first?.severity == .error)
    }

    @Test("Fields that a query cannot say")
    func query() {
        let found = findings(Endpoint.get("/a", Deep.self, returns: One.self))
        #expect(found.first?.place == "trial@1 GET /a")
        #expect(found.first?.message.contains("'inner'") == true)
        #expect(findings(Endpoint.get("/a", [One].self, returns: One.self)).count == 1)
        #expect(findings(Endpoint.post("/a", Deep.self, returns: One.self)) == [])
    }

    @Test("Twins, names, versions, problems, types without a schema")
    func others() {
        let twin = Endpoint.get("/elsewhere", Listed.self, returns: One.self)
        #expect(findings(twin).first?.message.contains("'endpoint' has the same method and path") == true)
        let endpoint = Endpoint.get("/a", Listed.self, returns: One.self)
        #expect(Trial(name: "Gift Cards", endpoint: endpoint).findings.count == 1)
        #expect(Trial(name: "", version: 0, endpoint: endpoint).findings.count == 2)
        #expect(findings(endpoint.fails(Problem("fine", status: 200))).first?.message.contains("200") == true)
        #expect(
            findings(Endpoint.get("/a", Listed.self, returns: Payload.self)).first?.message.contains("Payload") == true)
        let event = Event("a.b", One.self, key: \.id)
        #expect(Trial(endpoint: endpoint, event: event).findings == [])
        #expect(Trial(endpoint: endpoint, event: event, twin: event).findings.first?.place == "trial@1 a.b")
        #expect(Trial(endpoint: endpoint, event: Event("a.b", version: 0, One.self, key: \.id)).findings.count == 1)
    }
}
