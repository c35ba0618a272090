import DovetailCQRS
import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailMemory
import Foundation
import HTTPTypes
import Testing

@testable import DovetailModules

/// A node's endpoints, asked with bytes as from any client.
@Suite struct EndpointTableTests {
    private struct Answer {
        var status: Int
        var headers: HTTPFields
        var json: JSONValue
        var text: String
    }

    private func send(
        _ table: EndpointTable, _ method: HTTPRequest.Method, _ target: String, _ body: String = "",
        headers: HTTPFields = [:], principal: Principal? = Principal(subject: "ann", scopes: ["loans:write"]),
        within time: Duration? = nil
    ) async throws -> Answer {
        let parts = target.split(separator: "?", maxSplits: 1).map(String.init)
        var context = CallContext()
        context.principal = principal
        context.deadline = time.map { .now + $0 }
        context.idempotencyKey = headers[.idempotencyKey]
        let response = await table.respond(
            to: RawRequest(
                method: method, path: parts[0], query: parts.count > 1 ? parts[1] : nil, headers: headers,
                body: Array(body.utf8), context: context))
        let bytes = try await response.body.collect()
        return Answer(
            status: Int(response.status.code), headers: response.headers,
            json: (try? JSON.decode(JSONValue.self, from: bytes)) ?? .null, text: String(decoding: bytes, as: UTF8.self)
        )
    }

    private func pointer(_ answer: Answer) -> String? { answer.json["violations"]?[0]?["pointer"]?.string }

    @Test("Path, query and body fill the input; answers say where the log stands")
    func answers() async throws {
        let table = try await lendingTable()
        let lent = try await send(table, .post, "/v3/loans", #"{"book":"a","days":3}"#)
        #expect(lent.status == 200)
        #expect(lent.json == ["book": "a", "days": 3])
        #expect(lent.headers[.dovetailPosition] != nil)
        #expect(lent.headers[.contentType] == "application/json")
        #expect(try await send(table, .get, "/v3/loans/a").json == ["book": "a", "days": 3])
        #expect(try await send(table, .put, "/v3/loans/b%20c/count", #"{"days":1}"#).json["book"] == "b c")
        #expect(try await send(table, .get, "/v3/loans?longer=3").json == ["loans": []])
        #expect(try await send(table, .get, "/v3/loans?longer=2").json["loans"]?[0] == ["book": "a", "days": 3])
        let gone = try await send(table, .delete, "/v3/loans/a")
        #expect(gone.status == 204 && gone.text == "")
        let problem = try await send(table, .get, "/v3/loans/a")
        #expect(problem.status == 404)
        #expect(problem.json["contract"] == "lending@3")
        #expect(problem.headers[.contentType] == "application/problem+json")
    }

    @Test("What breaks the contract is refused with its place, before the handler runs")
    func violations() async throws {
        let table = try await lendingTable()
        for (body, place) in [
            (#"{"book":"a"}"#, "/days"), (#"{"book":"a","days":"3"}"#, "/days"), (#"{"book":"a","days":0}"#, "/days"),
            (#"{"book":"a","days":31}"#, "/days"), (#"{"book":"","days":1}"#, "/book"), ("", "/book"), ("[]", ""),
            ("{", ""),
        ] {
            let answer = try await send(table, .post, "/v3/loans", body)
            #expect(answer.status == 400, "\(body)")
            #expect(pointer(answer) == place, "\(body): \(answer.text)")
        }
        #expect(pointer(try await send(table, .get, "/v3/loans?longer=10")) == "query:longer")
        #expect(pointer(try await send(table, .get, "/v3/loans?longer=x")) == "query:longer")
        #expect(pointer(try await send(table, .get, "/v3/loans?longer=%FF")) == "query:longer=%FF")
        #expect(try await send(table, .get, "/v3/loans").json == ["loans": []])
    }

    @Test("Wrong method, path, media type, scope")
    func refusals() async throws {
        let table = try await lendingTable()
        let method = try await send(table, .patch, "/v3/loans")
        #expect(method.status == 405)
        #expect(Set(method.headers[.allow]?.split(separator: ", ").map(String.init) ?? []) == ["GET", "POST"])
        for path in ["/v3", "/v2/loans", "/v3/loans/a/b", "/v3/loans//count", "/"] {
            #expect(try await send(table, .get, path).status == 404, "\(path)")
        }
        let loan = #"{"book":"a","days":3}"#
        #expect(try await send(table, .post, "/v3/loans", loan, headers: [.contentType: "text/xml"]).status == 415)
        #expect(
            try await send(table, .post, "/v3/loans", loan, headers: [.contentType: "Application/JSON; charset=utf-8"])
                .status
                == 200)
        let forbidden = try await send(
            table, .post, "/v3/loans", loan, principal: Principal(subject: "ann", scopes: []))
        #expect(forbidden.status == 403 && forbidden.text.contains("loans:write"))
    }

    @Test("A command on an instance that was deleted is answered 410 with the reason")
    func deleted() async throws {
        let log = try MemoryStore().log
        let table = try await lendingTable(log: log)
        func count() async throws -> Answer { try await send(table, .put, "/v3/loans/a/count", #"{"days":1}"#) }
        #expect(try await count().status == 200)
        try await log.delete("count-a")
        let deleted = try await count()
        #expect(deleted.status == 410 && deleted.json["type"] == "deleted", "\(deleted.text)")
        #expect(deleted.text.contains("count-a: it was deleted at 20"), "\(deleted.text)")
        try await log.tombstone("count-a")
        let gone = try await count()
        #expect(gone.status == 410 && gone.json["type"] == "deleted", "\(gone.text)")
        #expect(gone.text.contains("count-a: it is deleted for good since 20"), "\(gone.text)")
    }

    @Test(
        "A handler that throws: 500 with the correlation id and nothing of the inside; one that hangs: 504 at the deadline"
    )
    func failures() async throws {
        let table = try await lendingTable()
        let thrown = try await send(table, .post, "/v3/failures", #"{"kind":"throw"}"#)
        #expect(thrown.status == 500)
        #expect(thrown.json["type"] == "internal-error")
        #expect(!thrown.text.contains("hunter2") && !thrown.text.contains("Secret"))
        let correlation = try #require(thrown.headers[.correlationID])
        #expect(thrown.json["instance"] == .string(correlation))
        let unreachable = try await send(table, .post, "/v3/failures", #"{"kind":"unreachable"}"#)
        #expect(unreachable.status == 502)
        #expect(unreachable.text.contains("warehouse") && !unreachable.text.contains("secret host"))
        let hung = try await send(table, .post, "/v3/failures", #"{"kind":"hang"}"#, within: .milliseconds(50))
        #expect(hung.status == 504)
    }

    @Test("One key, one effect, one answer; the same key with another input is refused")
    func idempotency() async throws {
        let table = try await lendingTable()
        let key: HTTPFields = [.idempotencyKey: "k"]
        let first = try await send(table, .post, "/v3/loans", #"{"book":"a","days":3}"#, headers: key)
        for same in [#"{"book":"a","days":3}"#, #"{ "days": 3, "book": "a", "more": null }"#] {
            let again = try await send(table, .post, "/v3/loans", same, headers: key)
            #expect(again.status == 200 && again.json == first.json)
        }
        let other = try await send(table, .post, "/v3/loans", #"{"book":"b","days":3}"#, headers: key)
        #expect(other.status == 422 && other.json["type"] == "idempotency-key-reused")
        // Another principal's key of the same name is another key.
        let bob = Principal(subject: "bob", scopes: ["loans:write"])
        let lent = try await send(table, .post, "/v3/loans", #"{"book":"a","days":3}"#, headers: key, principal: bob)
        #expect(lent.status == 409)

        #expect(try await send(table, .put, "/v3/loans/x/count", #"{"days":2}"#, headers: key).status == 200)
        #expect(try await send(table, .put, "/v3/loans/x/count", #"{"days":2}"#, headers: key).status == 200)
        #expect(try await send(table, .put, "/v3/loans/x/count", #"{"days":3}"#, headers: key).status == 422)
        #expect(try await send(table, .put, "/v3/loans/y/count", #"{"days":2}"#, headers: key).status == 422)
    }

    @Test(
        "A key is known for as long as it is said to be, then forgotten with its answer; one whose command has led to events stays known"
    )
    func keyRetention() async throws {
        let log = try MemoryStore().log
        let table = try await lendingTable(log: log)
        let keys = KeyRetention(log: log, commands: CommandExecutor(log: log), keep: .seconds(90 * 86_400))
        func lend() async throws -> Int {
            try await send(
                table, .post, "/v3/loans", #"{"book":"a","days":3}"#, headers: [.idempotencyKey: "k"]
            ).status
        }
        func count() async throws -> Answer {
            try await send(table, .put, "/v3/loans/a/count", #"{"days":2}"#, headers: [.idempotencyKey: "k"])
        }
        #expect(try await lend() == 200)
        let counted = try await count()
        #expect(counted.status == 200)
        #expect(try await keys.runOnce() == 0)
        #expect(try await keys.runOnce(now: .now + 89 * 86_400) == 0)
        #expect(try await lend() == 200, "its answer is kept")
        #expect(try await keys.runOnce(now: .now + 91 * 86_400) == 1)
        #expect(try await lend() == 409, "it is a request of its own now, and the book is lent")
        #expect(try await count().headers[.dovetailPosition] == counted.headers[.dovetailPosition])
        #expect(try await keys.runOnce(now: .now + 91 * 86_400) == 0)
    }

    @Test("More keys than go in one step are forgotten in several, and those that are younger stay")
    func manyKeys() async throws {
        let log = try MemoryStore().log
        let answers = Answers(log: log)
        try await answers.prepare()
        for number in 0..<1203 {
            _ = try await answers.once(CommandKey("\(number)"), module: "m") { transaction in
                _ = try transaction.row(Int.self, "SELECT 1")
                return number
            }
        }
        let changed = try await log.transaction("age", as: .engine) {
            try $0.execute("UPDATE dovetail_answers SET answered_at = 0 WHERE CAST(key AS INTEGER) < 1200")
        }
        #expect(changed == 1200)
        #expect(try await answers.forget(before: .now - 60) == 1200)
        #expect(try await answers.once(CommandKey("1201"), module: "m") { _ in 7 } == 1201)
        #expect(try await answers.once(CommandKey("1"), module: "m") { _ in 7 } == 7)
    }

    @Test("A command on another version than the caller has seen is answered 409 with both, and nothing is done")
    func versionConflict() async throws {
        let log = try MemoryStore().log
        let table = try await lendingTable(log: log)
        func count(_ version: Int) async throws -> Answer {
            try await send(table, .put, "/v3/loans/a/count", #"{"days":1,"version":\#(version)}"#)
        }
        #expect(try await count(0).status == 200)
        #expect(try await count(1).status == 200)
        let conflict = try await count(1)
        #expect(conflict.status == 409 && conflict.json["type"] == "version-conflict", "\(conflict.text)")
        #expect(conflict.text.contains("'count-a' is at version 2, not at 1 as expected"), "\(conflict.text)")
        #expect(log.head == 2)
    }

    @Test("A node's door takes what comes from outside only with the nodes' token")
    func nodeToken() async throws {
        let table = try await lendingTable(nodeToken: "s3cret")
        func status(_ headers: HTTPFields) async -> Int {
            Int(await table.respond(to: RawRequest(method: .get, path: "/v3/loans", headers: headers)).status.code)
        }
        #expect(await status([:]) == 401)
        #expect(await status([.dovetailNodeToken: "wrong"]) == 401)
        #expect(await status([.dovetailNodeToken: "s3cret"]) == 200)
    }
}
