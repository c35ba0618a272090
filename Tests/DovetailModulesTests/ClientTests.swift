import DovetailContracts
import DovetailCore
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
