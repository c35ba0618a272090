import Testing

/// The lives of a process, each ended by a fault one step later than the one before, from the first step on again where a life has fewer steps; returns how many were ended so.
func livesEnded(
    _ rounds: Int, every stride: Int, by life: (_ passes: Int) async throws -> Shell.Result
) async throws -> Int {
    var (ended, passes) = (0, 0)
    for _ in 0..<rounds {
        let result = try await life(passes)
        #expect(result.status == 9 || result.status == 0, "\(result.all.suffix(2000))")
        if result.status == 9 { ended += 1 }
        passes = result.status == 9 ? passes + stride : 0
    }
    return ended
}
