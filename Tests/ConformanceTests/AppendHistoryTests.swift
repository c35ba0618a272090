import DovetailCore
import DovetailTesting
import Testing

/// The checker of appends finds what it is there for.
@Suite struct AppendHistoryTests {
    private func findings(_ operations: (Int, Int, AppendHistory.Outcome)...) -> [String] {
        let (history, zero) = (AppendHistory(), MonotonicTime.now)
        for (start, end, outcome) in operations {
            history.note(
                .init(start: zero + .milliseconds(start), end: zero + .milliseconds(end), outcome: outcome))
        }
        return history.findings
    }

    @Test("A history that can have happened in one order has no findings, whatever the order of the answers")
    func sound() {
        #expect(findings().isEmpty)
        #expect(
            findings(
                (0, 10, .appended(from: 0, to: 1)), (0, 9, .appended(from: 1, to: 3)), (5, 6, .observed(0)),
                (5, 12, .observed(1)), (8, 30, .observed(3)), (11, 12, .observed(3))
            ).isEmpty)
    }

    @Test("Two that won the same version, a gap, a version that never was")
    func wrongVersions() {
        #expect(findings((0, 5, .appended(from: 0, to: 1)), (1, 6, .appended(from: 0, to: 1))).count == 1)
        #expect(findings((0, 5, .appended(from: 0, to: 1)), (1, 6, .appended(from: 2, to: 3))).count == 1)
        #expect(findings((0, 5, .appended(from: 0, to: 2)), (1, 6, .observed(1))).count == 1)
    }

    @Test("A read of what was over before it began, a read of what had not begun, appends against the order of time")
    func wrongTimes() {
        // The stream was at version 1 for good before somebody asked, and saw 0.
        #expect(findings((0, 5, .appended(from: 0, to: 1)), (6, 7, .observed(0))).count == 1)
        #expect(findings((0, 5, .observed(1)), (6, 7, .appended(from: 0, to: 1))).count == 1)
        #expect(findings((6, 7, .appended(from: 0, to: 1)), (0, 5, .appended(from: 1, to: 2))).count == 1)
        // Seen, and not there any more for somebody who asked later.
        #expect(
            findings((0, 20, .appended(from: 0, to: 1)), (5, 6, .observed(1)), (7, 8, .observed(0))).count == 1)
    }
}
