import DovetailContracts
import DovetailCore
import Testing

@testable import DovetailSagas

@Suite struct SagaDiagramTests {
    @Test("A saga is drawn with its branches, waits, children, undos and its pivot")
    func drawn() {
        let ledger = Ledger()
        let insurance = Saga("insurance", of: Booking.self).pivot().only(ledger, "insure")
        let saga = tripSaga().parallel({ $0.calls(ledger, "flight") }, { $0.only(ledger, #"the "best" hotel"#) })
            .decision("approve", into: \.approval)
            .wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid)
            .pivot()
            .child("insurance", of: insurance, start: { $0 }, into: \.insured) { $0.trip }
            .pause("a day", for: .seconds(86_400))
            .compensated { _, _, _ in }
        #expect(
            saga.description.mermaid == """
                flowchart TD
                    start(["trip.booked"])
                    s0["flight"]
                    s1["the #quot;best#quot; hotel"]
                    s2{"approve?"}
                    s3>"payment: trip.paid"]
                    s4[["insurance: saga insurance"]]
                    s5("⏱ a day")
                    u0[/"undo flight"/]
                    s0 -. undo .-> u0
                    fork0{{"all of"}}
                    start --> fork0
                    fork0 --> s0
                    fork0 --> s1
                    s0 --> s2
                    s1 --> s2
                    s2 --> s3
                    pivot{{"pivot"}}
                    s3 --> pivot
                    pivot --> s4
                    s4 --> s5
                    completed(["completed"])
                    s5 --> completed
                    compensated(["compensated, and told"])
                    u0 --> compensated
                """)
    }

    @Test("A description says what it listens to, and of which saga it is made")
    func described() {
        let ledger = Ledger()
        let saga = tripSaga().wait("payment", for: TripAPI().paid, key: \.trip, into: \.paid).pivot().only(ledger, "a")
        #expect(saga.description.topics == ["trip.booked", "trip.paid"])
        #expect(saga.description.steps.map(\.isAfterPivot) == [false, true])
        #expect(saga.description.steps.map(\.kind) == [.event, .action])
    }
}
