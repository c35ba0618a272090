import DovetailModules
import DovetailObservability
import DovetailSagas
import Foundation

/// What a node's metrics say of its sagas.
extension Node {
    var sagaFamilies: [PrometheusFamily] {
        get async {
            let journal = SagaJournal(log: store.log)
            let counts = (try? await journal.counts()) ?? [:]
            let failing = (try? await journal.failing()) ?? []
            let now = Date()
            func gauge(_ name: String, _ help: String, _ value: (SagaJournal.Failing) -> Double) -> PrometheusFamily {
                let known = Set(runtimes.flatMap(\.parts.sagas).map(\.name)).subtracting(failing.map(\.saga))
                return PrometheusFamily(
                    name: name, help: help, kind: .gauge,
                    samples: failing.map { .init(labels: [("saga", $0.saga)], value: value($0)) }
                        + known.sorted().map { .init(labels: [("saga", $0)], value: 0) })
            }
            return readerFamilies(parked: (try? await journal.parkedCounts()) ?? [:]) + [
                gauge("dovetail_sagas_failing", "Instances whose steps fail and are tried again.") { Double($0.count) },
                gauge(
                    "dovetail_sagas_failing_seconds",
                    "How long the oldest of the failing steps has been tried without success."
                ) { max(0, now.timeIntervalSince($0.since)) },
                PrometheusFamily(
                    name: "dovetail_sagas",
                    help: "Instances of sagas, by status; those that are stuck need an operator.",
                    kind: .gauge,
                    samples: SagaStatus.allCases.map {
                        .init(labels: [("status", $0.rawValue)], value: Double(counts[$0] ?? 0))
                    }),
            ]
        }
    }

    /// Whether the sagas' readers keep up: what they do not get past starts no instance, and is seen by none.
    private func readerFamilies(parked: [String: Int]) -> [PrometheusFamily] {
        let (head, readers) = (store.log.head, runtimes.flatMap(\.sagaReaders))
        func family(_ name: String, _ help: String, _ value: (SagaReaderStatus) -> Double) -> PrometheusFamily {
            PrometheusFamily(
                name: name, help: help, kind: .gauge,
                samples: readers.map { .init(labels: [("saga", $0.saga)], value: value($0)) })
        }
        return [
            family("dovetail_saga_reader_lag_events", "Events that a saga's reader has not looked at.") {
                Double(max(0, head - $0.scanned))
            },
            family("dovetail_saga_reader_blocked", "1 while an event holds a saga's reader up.") {
                $0.blocked == nil ? 0 : 1
            },
            family("dovetail_saga_reader_parked_events", "Events put aside because a saga could not read them.") {
                Double(parked[$0.saga] ?? 0)
            },
        ]
    }
}
