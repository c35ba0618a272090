import DovetailContracts
import DovetailCore
import DovetailEvents
import DovetailTesting
import Foundation
import Testing

@testable import DovetailSagas

/// What a changed definition means to instances under way.
@Suite struct SagaPlanChangeTests {
    private let refunded = Event("trip.refunded", TripAPI.Paid.self, key: \.id)
    private let ledger = Ledger()

    private func held(_ saga: Saga<Booking>) -> Saga<Booking> { saga.decision("hold", into: \.approval) }

    /// What the check says of an instance that an old definition has brought as far as it goes, and of one that a harness then carries on under the new.
    private func reason(
        _ old: Saga<Booking>, _ new: Saga<Booking>, _ prepare: (SagaHarness) async throws -> Void = { _ in }
    ) async throws -> String? {
        let harness = try await SagaHarness()
        try await harness.add(old)
        try await harness.publish(booked("7"))
        try await harness.run(for: .seconds(1))
        try await prepare(harness)
        let plans = try await SagaJournal(log: harness.log).plans()
        #expect(plans.map(\.saga) == ["trip"])
        return SagaFit(of: try await harness.instances(), under: plans, in: [new]).misfits.first?.reason
    }

    @Test("Reordered: a step that was done and comes later would be done again, one that comes before would never be")
    func reordered() async throws {
        let old = held(tripSaga().calls(ledger, "a")).calls(ledger, "b")
        let later = held(tripSaga()).calls(ledger, "a").calls(ledger, "b")
        #expect(try await reason(old, later)?.contains("'a', which comes later now: it would be done again") == true)
        let before = held(tripSaga().calls(ledger, "a").calls(ledger, "b"))
        #expect(try await reason(old, before)?.contains("'b', which comes before now: it would never") == true)
        let swapped = held(tripSaga().calls(ledger, "a").calls(ledger, "c")).calls(ledger, "b")
        #expect(try await reason(old, swapped) == nil)
    }

    @Test("What the check warns of happens: a step that comes later is done again, and owes two undos")
    func reorderedForReal() async throws {
        let harness = try await SagaHarness()
        try await harness.add(held(tripSaga().calls(ledger, "a")))
        try await harness.publish(booked("7"))
        try await harness.run()
        try await harness.replace(held(tripSaga()).calls(ledger, "a"))
        let id = try await harness.instances()[0].id
        try await harness.signal(id, "hold", true)
        try await harness.run()
        #expect(ledger.calls.filter { $0.what == "a 7" }.count == 2)
    }

    @Test("A wait of another topic, while an instance waits for the old one")
    func otherTopic() async throws {
        let old = tripSaga().wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid)
        let new = tripSaga().wait("payment", for: refunded, key: \.trip, into: \.paid)
        let reason = try await reason(old, new)
        #expect(reason?.contains("waits for trip.paid, and the step waits for trip.refunded now") == true)
        // One that has not come to it waits for the new one.
        let (ahead, changed) = (held(tripSaga()), held(tripSaga()))
        #expect(
            try await self.reason(
                ahead.wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid),
                changed.wait("payment", for: refunded, key: \.trip, into: \.paid)) == nil)
    }

    @Test("What an instance waits for is compared also where its definition is not known")
    func unknownPlan() async throws {
        let harness = try await SagaHarness()
        try await harness.add(tripSaga().wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid))
        try await harness.publish(booked("7"))
        try await harness.run()
        let new = tripSaga().wait("payment", for: refunded, key: \.trip, into: \.paid)
        let fit = SagaFit(of: try await harness.instances(), in: [new])
        #expect(fit.misfits.count == 1 && fit.misfits[0].reason.contains("trip.refunded"))
    }

    @Test("A step of another kind, at which an instance is or which it has done")
    func otherKind() async throws {
        let old = held(tripSaga().calls(ledger, "a"))
        let wait = tripSaga().calls(ledger, "a").wait("hold", for: TripAPI().paid, key: \.trip, into: \.paid)
        #expect(try await reason(old, wait)?.contains("'hold'") == true)
        let lock = held(tripSaga().lock("a", resource: "seat", key: \.trip))
        #expect(try await reason(old, lock)?.contains("has done 'a', which was a call and is a lock now") == true)
        let seat = tripSaga().lock("a", resource: "seat", key: \.trip)
        #expect(try await reason(held(seat), held(tripSaga().lock("a", resource: "seat", key: \.trip))) == nil)
        let ahead = held(tripSaga().calls(ledger, "a"))
        let (call, pause) = (ahead.only(ledger, "z"), ahead.pause("z", for: .seconds(1)))
        #expect(try await reason(call, pause) == nil)
    }

    @Test("A pivot that has moved over the step at which an instance is")
    func pivot() async throws {
        func saga(pivotFirst: Bool?) -> Saga<Booking> {
            let first = tripSaga().calls(ledger, "a")
            switch pivotFirst {
            case true?: return held(first.pivot())
            case false?: return held(first).pivot().only(ledger, "b")
            case nil: return held(first).only(ledger, "c").pivot().only(ledger, "b")
            }
        }
        #expect(
            try await reason(saga(pivotFirst: true), saga(pivotFirst: false))?.contains("is before the pivot now")
                == true)
        #expect(
            try await reason(saga(pivotFirst: false), saga(pivotFirst: true))?.contains("is behind the pivot now")
                == true)
        #expect(try await reason(saga(pivotFirst: false), saga(pivotFirst: nil)) == nil)
    }

    @Test("A branch beside the step at which an instance is would be passed over; one of a later stage is not")
    func branches() async throws {
        let old = held(tripSaga().calls(ledger, "a"))
        let beside = tripSaga().calls(ledger, "a").parallel(
            { $0.decision("hold", into: \.approval) }, { $0.only(ledger, "new") })
        #expect(try await reason(old, beside)?.contains("'new' begins a way beside 'hold'") == true)
        let later = old.parallel({ $0.only(ledger, "x") }, { $0.only(ledger, "y") })
        #expect(try await reason(old, later) == nil)
        let both = tripSaga().parallel(
            { $0.decision("hold", into: \.approval) }, { $0.decision("other", into: \.approval) })
        let sequence = held(tripSaga()).decision("other", into: \.approval)
        #expect(try await reason(both, sequence)?.contains("do not stand beside each other any more") == true)
    }

    @Test("What is safe: steps that come, go, change or move ahead of an instance, or come behind it")
    func safe() async throws {
        let old = held(tripSaga().calls(ledger, "a")).calls(ledger, "b").only(ledger, "c").only(ledger, "d")
        let new = held(tripSaga().calls(ledger, "early").calls(ledger, "a")).only(ledger, "d").only(ledger, "e")
            .pause("b", for: .seconds(1))
        #expect(try await reason(old, new) == nil)
        #expect(try await reason(old, old) == nil)
    }

    @Test("The definition that an instance was changed under last is the one that counts, and the same is kept once")
    func kept() async throws {
        let harness = try await SagaHarness()
        let journal = SagaJournal(log: harness.log)
        let first = held(tripSaga().calls(ledger, "a")).only(ledger, "b")
        try await harness.add(first)
        try await harness.publish(booked("7"))
        try await harness.run()
        try await harness.restart()
        #expect(try await journal.plans().count == 1)
        // An instance that was begun under the second has yet to do 'b' before it holds.
        let second = held(tripSaga().calls(ledger, "a").only(ledger, "b"))
        try await harness.replace(second)
        #expect(try await journal.plans().map(\.epoch) == [1, 3])
        try await harness.publish(booked("8"))
        try await harness.run()
        let (records, plans) = (try await harness.instances(), try await journal.plans())
        #expect(SagaFit(of: records, under: plans, in: [second]).misfits.map(\.id) == [records[0].id])
        #expect(SagaFit(of: records, under: plans, in: [first]).misfits.map(\.id) == [records[1].id])
        #expect(SagaFit(of: records, under: plans, in: [first]).checked == 2)
    }
}
