/// How much of its share a server gets that is new or well again: it grows evenly, so that caches fill and code warms up before the whole load comes.
enum SlowStart {
    /// The whole share.
    static let whole = 1000
    /// What it begins with.
    private static let least = 50

    /// The share at `now` of a server that came at `since`, in thousandths; all times in nanoseconds.
    static func warmth(since: Int64, now: Int64, over time: Int64) -> Int {
        let (age, overflow) = now.subtractingReportingOverflow(since)
        guard !overflow, time > 0, age < time else { return whole }
        return max(least, Int(Double(max(age, 0)) / Double(time) * Double(whole)))
    }
}
