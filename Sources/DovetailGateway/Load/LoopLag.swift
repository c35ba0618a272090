/// How late an event loop is: whether what it has to do still fits into its time.
struct LoopLag {
    /// How much of a measurement goes into the average: some tens of milliseconds are remembered at ticks of ten.
    private static let weight = 0.3
    private var average = 0.0

    /// A tick that was due at `due` has come at `now`, in nanoseconds.
    mutating func ticked(due: Int64, now: Int64) {
        average += (Double(max(0, now - due)) - average) * LoopLag.weight
    }

    /// In nanoseconds.
    var nanoseconds: Int64 { Int64(average) }
}
