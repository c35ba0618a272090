import DovetailContracts
import DovetailCore
import DovetailMemory
import Testing

@testable import DovetailModules

/// Typed clients in process: by value, and through the codec as over a network.
@Suite struct ClientTests {
    @Test("A call answers or throws the same, by value and through the codec", arguments: [false, true])
    func same(throughCodec: Bool) async throws {
        let client = lendingClient(try await lendingTable(), throughCodec: throughCodec)
        #expect(try await client.lend(.init(book: "a", days: 3)) == .init(book: "a", days: 3))
        #expect(try await client.all(.init(longer: nil)).loans.count == 1)
        await #expect(throws: LendingAPI.lent("a is lent")) { _ = try await client.lend(.init(book: "a", days: 3)) }
        _ = try await client.giveBack(.init(book: "a"))
        #expect(try await client.all(.init(longer: nil)).loans == [])
        let refused = await #expect(throws: Problem.self) { _ = try await client.lend(.init(book: "a", days: 99)) }
        #expect(
            refused?.violations == [.init(pointer: "/days", expected: "expected an integer from 1 to 30, found 99")])
    }

    @Test(
        "What a handler throws is to a caller in process the problem that it is over HTTP",
        arguments: [false, true], ["unreachable", "secret", "deleted"])
    func sameProblems(throughCodec: Bool, kind: String) async throws {
        let log = try MemoryStore().log
        let table = try await lendingTable(log: log)
        let client = lendingClient(table, throughCodec: throughCodec)
        _ = try await client.count(.init(book: "b", days: 1, version: nil))
        try await log.tombstone("count-b")
        let inProcess = await #expect(throws: Problem.self) {
            if kind == "deleted" {
                _ = try await client.count(.init(book: "b", days: 1, version: nil))
            } else {
                _ = try await client.fail(.init(kind: kind))
            }
        }
        let isCount = kind == "deleted"
        let response = await table.respond(
            to: RawRequest(
                method: isCount ? .put : .post, path: isCount ? "/v3/loans/b/count" : "/v3/failures", query: nil,
                headers: [:], body: Array((isCount ? #"{"days":1}"# : #"{"kind":"\#(kind)"}"#).utf8),
                context: CallContext()))
        let overHTTP = try JSON.decode(Problem.self, from: try await response.body.collect())
        #expect(inProcess?.type == overHTTP.type && inProcess?.detail == overHTTP.detail)
        #expect(inProcess?.status == Int(response.status.code) && inProcess?.contract == "lending@3")
        #expect(inProcess?.failureKind == overHTTP.failureKind && inProcess?.instance != nil)
        #expect(inProcess?.status == ["unreachable": 502, "secret": 500, "deleted": 410][kind])
    }

    @Test("Under a caller's key each call has its own, the same for the same call")
    func keys() async throws {
        let client = lendingClient(try await lendingTable(), throughCodec: false)
        var context = CallContext()
        context.idempotencyKey = "caller"
        try await CallContext.$current.withValue(context) {
            let first = try await client.lend(.init(book: "a", days: 3))
            #expect(try await client.lend(.init(book: "a", days: 3)) == first)
            #expect(try await client.lend(.init(book: "b", days: 3)).book == "b")
        }
        #expect(try await client.all(.init(longer: nil)).loans.count == 2)
    }
}
