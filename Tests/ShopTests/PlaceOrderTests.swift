import Dovetail
import DovetailTesting
import Testing

@testable import Shop

/// The saga of an order, with stand-ins for those whom it calls.
@Suite struct PlaceOrderTests {
    private let inventory = StandIn(InventoryAPI())
        .answering(\.reserve) { .init(orderID: $0.orderID) }
        .answering(\.release) { _ in Empty() }
    private let payments = StandIn(PaymentsAPI())
        .answering(\.charge) { .init(id: "receipt of \($0.orderID)") }
        .answering(\.refund) { _ in Empty() }

    private func place() async throws -> Order {
        let harness = try await SagaHarness()
        try await harness.add(placeOrder(inventory.client, payments.client))
        _ = try await harness.commands.execute(Order.aggregate, "o1", source: "test", context: nil) {
            try $0.place("o1", for: "user-1", [OrderLine(productID: "chisel", quantity: 2)], cents: 2500)
        }
        try await harness.run()
        return try await harness.commands.state(Order.aggregate, "o1").0
    }

    @Test func anOrderIsConfirmed() async throws {
        #expect(try await place() == .confirmed)
        #expect(inventory.calls.map(\.endpoint) == ["reserve"])
        #expect(payments.calls.map(\.endpoint) == ["charge"])
    }

    @Test func whatIsDeclinedIsGivenBack() async throws {
        payments.answering(\.charge) { _ in throw PaymentsAPI.declined("the card is blocked") }
        #expect(try await place() == .cancelled)
        #expect(inventory.calls.map(\.endpoint) == ["reserve", "release"])
        #expect(payments.calls.map(\.endpoint) == ["charge"], "what was refused is not undone")
    }

    @Test func whatMayHaveBeenDoneIsUndone() async throws {
        payments.answering(\.charge) { _ in
            throw CallError(.deadlineExceeded, callee: "payments", message: "gave no answer", wasSent: true)
        }
        #expect(try await place() == .cancelled)
        #expect(payments.calls.map(\.endpoint) == ["charge", "charge", "charge", "refund"])
        #expect(Set(payments.calls.prefix(3).map(\.idempotencyKey)).count == 1, "a step has one key")
    }

    @Test func aCallThatNobodyStandsInForIsSaidToBeThat() async throws {
        let client = StandIn(InventoryAPI()).client
        await #expect(throws: CallError.self) { try await client.stock(.init()) }
    }
}
