import DovetailCore
import Foundation
import TestSupport
import Testing

@testable import DovetailContracts

struct LibraryAPI: Contract {
    var name = "library", version = 1
    let borrow = Endpoint.post("/loans", Borrow.self, returns: Loan.self).requires("loans:write", "members")
        .idempotent()
        .fails(Problem("lent", status: 409), Problem("too-many", status: 409), Problem("no-book", status: 404))
    let renew = Endpoint.put("/loans/{id}/until", Renew.self, returns: Loan.self)
    let giveBack = Endpoint.delete("/loans/{id}", Pick.self)
    let shelf = Endpoint.get("/books", Search.self, streams: Book.self)
    let touch = Endpoint.post("/loans/{id}/touch", Pick.self)
    let lent = Event("book.lent", Loan.self, key: \.id)
    let lentBefore = Event("book.lent", version: 2, Borrow.self, key: \.book)

    struct Borrow: Wire { var book: String, days: Int?, shelf: Shelf }
    struct Loan: Wire { var id: String, until: Date, book: Book? }
    struct Renew: Wire { var id: Int, until: Date }
    struct Pick: Wire { var id: String }
    struct Search: Wire, Constrained {
        var text: String?
        var tags: [String]
        var limit: Int?
        static let constraints: Constraints = ["limit": .range(1...50)]
    }
    struct Book: Wire { var title: String, sequels: [Book] }
    enum Shelf: String, Wire, CaseIterable { case left, right }
}

@Suite struct OpenAPITests {
    private func document() throws -> JSONValue { try OpenAPI.document(for: [LibraryAPI()], title: "Library") }

    private func operation(_ path: String, _ method: String) throws -> JSONValue {
        try #require(try document()["paths"]?[path]?[method])
    }

    private func names(_ value: JSONValue?) -> [String] {
        guard case .object(let members)? = value else { return [] }
        return members.map(\.name)
    }

    @Test("Operations are called by contract and property, with the version in the path")
    func operations() throws {
        let paths = try document()["paths"]
        #expect(
            names(paths) == [
                "/v1/loans", "/v1/loans/{id}/until", "/v1/loans/{id}", "/v1/books", "/v1/loans/{id}/touch",
            ])
        #expect(try operation("/v1/loans", "post")["operationId"] == "library.borrow")
        var second = LibraryAPI()
        second.version = 2
        let both = try OpenAPI.document(for: [LibraryAPI(), second], title: "Library")
        #expect(both["paths"]?["/v2/loans"]?["post"]?["operationId"] == "library.v2.borrow")
    }

    @Test("Path, query, header and body each get their fields")
    func input() throws {
        let renew = try operation("/v1/loans/{id}/until", "put")
        #expect(
            renew["parameters"] == [
                ["name": "id", "in": "path", "required": true, "schema": ["type": "integer", "format": "int64"]]
            ])
        let body = renew["requestBody"]
        #expect(names(body?["content"]?["application/json"]?["schema"]?["properties"]) == ["until"])
        #expect(body?["required"] == true)
        let search = try operation("/v1/books", "get")
        #expect(search["requestBody"] == nil)
        #expect(search["parameters"]?[0] == ["name": "text", "in": "query", "schema": ["type": "string"]])
        #expect(search["parameters"]?[1]?["required"] == true)
        #expect(search["parameters"]?[1]?["schema"]?["type"] == "array")
        #expect(search["parameters"]?[2]?["schema"]?["maximum"] == 50)
        #expect(try operation("/v1/loans", "post")["parameters"]?[0]?["name"] == "Idempotency-Key")
        #expect(try operation("/v1/loans/{id}/touch", "post")["requestBody"] == nil)
    }

    @Test("Answers: documents, streams, none; problems by their status")
    func answers() throws {
        let borrow = try operation("/v1/loans", "post")["responses"]
        #expect(names(borrow) == ["200", "400", "401", "403", "404", "409", "default"])
        #expect(borrow?["409"]?["description"] == "Lent; or: Too many")
        #expect(
            borrow?["409"]?["content"]?["application/problem+json"]?["schema"] == [
                "$ref": "#/components/schemas/Problem"
            ])
        #expect(names(try operation("/v1/books", "get")["responses"]?["200"]?["content"]) == ["application/x-ndjson"])
        #expect(names(try operation("/v1/loans/{id}", "delete")["responses"]).first == "204")
        #expect(try operation("/v1/loans", "post")["security"] == [["bearer": ["loans:write", "members"]]])
        #expect(try operation("/v1/books", "get")["security"] == nil)
    }

    @Test("Events stand beside, each version with its payload; components are those that are used")
    func events() throws {
        let document = try document()
        #expect(document["x-events"]?[0]?["payload"] == ["$ref": "#/components/schemas/LibraryAPI.Loan"])
        #expect(document["x-events"]?[1]?["version"] == 2)
        #expect(
            names(document["components"]?["schemas"]) == [
                "LibraryAPI.Book", "LibraryAPI.Borrow", "LibraryAPI.Loan", "Problem",
            ])
    }

    @Test(
        "The document is OpenAPI 3.1, says a validator that is not ours",
        .enabled(if: PythonOracle.has("openapi_spec_validator")))
    func valid() throws {
        let script = """
            import json, sys
            from openapi_spec_validator import OpenAPIV31SpecValidator
            for error in OpenAPIV31SpecValidator(json.load(sys.stdin)).iter_errors(): print(error)
            print("done")
            """
        let input = String(decoding: try JSON.encode(try document()), as: UTF8.self)
        #expect(try PythonOracle.run(script, input: input) == "done\n")
        let broken = input.replacing("\"responses\"", with: "\"answers\"")
        #expect(try PythonOracle.run(script, input: broken) != "done\n")
    }
}
