import DovetailCore

/// So many a second and no more, evenly.
struct Pace {
    private let interval: Duration
    private var next = MonotonicTime.now

    /// At most `rate` a second; as fast as it goes unless given.
    init(_ rate: Double?) {
        interval = rate.map { .seconds(1 / max($0, 0.001)) } ?? .zero
    }

    mutating func wait() async throws {
        try Task.checkCancellation()
        guard interval > .zero else { return }
        let now = MonotonicTime.now
        if next > now { try await Task.sleep(for: next - now) }
        next = max(next, now) + interval
    }
}
