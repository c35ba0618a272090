import DovetailCore
import DovetailResilience
import Synchronization

extension MonotonicTime {
    /// A moment of the tests' time line.
    static func at(_ duration: Duration) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + duration }
}
