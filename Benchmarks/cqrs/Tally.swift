import BenchmarkSupport
import DovetailCQRS
import DovetailContracts
import DovetailCore

/// The aggregate of all cases: a sum, by events of 64 bytes of JSON.
struct Tally: Codable, Sendable, Equatable {
    var sum = 0
    var count = 0

    struct Added: Codable, Sendable {
        var id: String
        var amount: Int
        var note: String
    }

    static let added = Event("tally.added", Added.self, key: \.id)

    static let aggregate = Aggregate("tally", Tally()).apply(added) { tally, added in
        tally.sum &+= added.amount
        tally.count &+= 1
    }

    /// The same, written down every thousand events.
    static let withSnapshots = aggregate.snapshots(.every(1000))

    /// An event, padded to 64 bytes.
    static let sample: Added = {
        var sample = Added(id: "tally-00042", amount: 7, note: "")
        let size = (try? JSON.encode(sample).count) ?? 0
        sample.note = String(repeating: "x", count: max(0, 64 - size))
        return sample
    }()

    static func check() throws {
        let size = try JSON.encode(sample).count
        guard size == 64 else { throw UsageError("an event has \(size) bytes instead of 64") }
    }
}
