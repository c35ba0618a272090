import Dovetail
import DovetailTesting
import Testing

@testable import Shop

/// How a module is tested without a platform: its decisions by scenarios, its saga in a harness, what it calls by stand-ins.
@Suite struct ReturnTests {
    private let events = ReturnsAPI()
    private let request = ReturnsAPI.Requested(
        returnID: "r1", orderID: "o1", userID: "user-1", cents: 2500, reason: .unwanted)

    @Test func aReturnIsAnnouncedOnceAndEndsOnce() throws {
        try Scenario(Return.aggregate).when { $0.announce(request) }.then(events.requested(request))
        try Scenario(Return.aggregate).given(events.requested(request)).when { $0.announce(request) }.then()
        let accepted = events.accepted(.init(returnID: "r1"))
        try Scenario(Return.aggregate).given(events.requested(request), accepted)
            .when { $0.close(events.refused(.init(returnID: "r1", refusal: "late"))) }.then()
    }

    @Test func aReturnOfBeforeReasonsWereAskedForIsRead() throws {
        try Scenario(Return.aggregate)
            .given(
                stored: "return.requested", version: 1,
                #"{"returnID":"r1","orderID":"o1","userID":"user-1","cents":2500}"#
            )
            .when { $0.close(events.accepted(.init(returnID: "r1"))) }
            .then(events.accepted(.init(returnID: "r1")))
    }

    @Test func creditIsGrantedOnceForEachReturn() throws {
        let granted = events.credited(.init(userID: "user-1", returnID: "r1", cents: 2500))
        try Scenario(Credit.aggregate).when { $0.grant(2500, to: "user-1", for: "r1") }.then(granted)
        try Scenario(Credit.aggregate).given(granted).when { $0.grant(2500, to: "user-1", for: "r1") }.then()
    }

    /// What a return has led to.
    private struct Outcome: Equatable {
        var status: SagaStatus
        var state: Return
        var cents: Int
        var isInStock: Bool
    }

    private func outcome(
        in harness: SagaHarness, parcel: Bool, inspection: Bool?
    ) async throws -> Outcome {
        let inventory = StandIn(InventoryAPI()).answering(\.release) { _ in Empty() }
        try await harness.add(handleReturn(inventory.client))
        _ = try await harness.commands.execute(Return.aggregate, "r1", source: "test", context: nil) {
            $0.announce(request)
        }
        try await harness.run(for: .seconds(3600))
        if parcel { try await harness.publish(events.arrived(.init(returnID: "r1", weighsGrams: 900))) }
        try await harness.run(for: .seconds(3600))
        if let inspection {
            let saga = try #require(try await harness.instances().first)
            try await harness.signal(saga.id, "inspect", HandlingReturn.Inspection(isFine: inspection))
        }
        try await harness.run()
        let (state, _) = try await harness.commands.state(Return.aggregate, "r1")
        let (credit, _) = try await harness.commands.state(Credit.aggregate, "user-1")
        let status = try #require(try await harness.instances().first?.status)
        return Outcome(
            status: status, state: state, cents: credit.cents,
            isInStock: inventory.calls.contains { $0.endpoint == "release" })
    }

    private static let accepted = Outcome(status: .completed, state: .accepted, cents: 2500, isInStock: true)
    private static let refused = Outcome(status: .compensated, state: .refused, cents: 0, isInStock: false)

    @Test(
        arguments: [
            (true, true, accepted), (true, nil, accepted), (true, false, refused), (false, nil, refused),
        ] as [(Bool, Bool?, Outcome)])
    private func itEndsAsItHasTo(_ parcel: Bool, _ inspection: Bool?, _ expected: Outcome) async throws {
        #expect(try await outcome(in: SagaHarness(), parcel: parcel, inspection: inspection) == expected)
    }

    @Test func whereverItsNodeDiesTheOutcomeIsTheSame() async throws {
        let report = try await SagaHarness.crashingAtEveryCommit { harness in
            try await outcome(in: harness, parcel: true, inspection: true)
        }
        #expect(report.crashes > 10)
    }
}
