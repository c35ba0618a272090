import Dovetail
import Foundation

/// What happened, told to a person: two orders step by step, then the sums.
struct Story: Sendable {
    let cluster: Cluster
    let books: Books
    let sent: Traffic.Result

    func tell() async throws {
        let mine = sent.accepted.compactMap { books.orders[$0] }
        if let order = mine.last(where: { $0.status == "confirmed" }) {
            try await tell(order, "A confirmed order")
        }
        let compensated = mine.filter { $0.status == "cancelled" }
        // One that was declined has more to undo than one that found no stock.
        if let order = compensated.last(where: { $0.reason == "card-declined" }) ?? compensated.last {
            try await tell(order, "A compensated order")
        }
        if let order = compensated.last(where: { !["card-declined", "out-of-stock"].contains($0.reason) }) {
            try await tell(order, "An order whose payment stayed in doubt, and was undone")
        }
        try await sum(mine)
    }

    private func tell(_ order: Books.Order, _ title: String) async throws {
        say(
            "\n\(title): \(order.id), \(order.status)\(order.reason.map { " (\($0))" } ?? ""), trace \(order.traceID ?? "–")"
        )
        guard let trace = order.traceID else { return }
        var spans: [FinishedSpan] = []
        for node in cluster.nodes {
            spans += try await cluster.admin(node) { try await $0.trace(.init(id: trace)).spans }
        }
        say(TraceTimeline.render(spans))
    }

    private func sum(_ mine: [Books.Order]) async throws {
        var retries = 0
        var openings = 0
        for node in cluster.nodes {
            for calls in try await cluster.admin(node, { try await $0.status(.init()) }).calls {
                retries += calls.retries
                openings += calls.circuitOpenings
            }
        }
        let confirmed = mine.count { $0.status == "confirmed" }
        let compensated = mine.count { $0.status == "cancelled" }
        let settled = mine.compactMap { order in
            order.closedAt.map { Duration.seconds($0.timeIntervalSince(order.placedAt)) }
        }
        say(
            """

            Summary
              accepted     \(mine.count)\(sent.refused.isEmpty ? "" : ", refused \(sent.refused.values.reduce(0, +))")
              confirmed    \(confirmed)
              compensated  \(compensated)
              retries      \(retries) between modules, \(sent.resent) by customers
              breaker      opened \(openings) times
              accepted in  p50 \(percentile(sent.latencies, 0.5)), p99 \(percentile(sent.latencies, 0.99))
              settled in   p50 \(percentile(settled, 0.5)), p99 \(percentile(settled, 0.99))
            """)
    }

    private func percentile(_ values: [Duration], _ share: Double) -> String {
        guard !values.isEmpty else { return "–" }
        let sorted = values.sorted()
        let value = sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        return String(format: "%.1f ms", value.inSeconds * 1000)
    }
}
