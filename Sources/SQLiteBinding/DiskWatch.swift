import CDiskWatch

/// How long the disk takes to make a write-ahead log last, in this process; and, for tests, a disk that fails.
package enum DiskWatch {
    /// The upper bounds of ``SyncTimes/buckets`` in seconds, but for the last, which has none.
    package static let bounds: [Double] = (0..<15).map { 0.015625e-3 * Double(1 << $0) }

    /// Syncs since the process began.
    package struct SyncTimes: Sendable {
        package var count: UInt64
        package var seconds: Double
        package var buckets: [UInt64]
    }

    package static var syncs: SyncTimes {
        var times = dovetail_sync_times()
        dovetail_disk_watch_times(&times)
        let buckets = withUnsafeBytes(of: times.buckets) { Array($0.bindMemory(to: UInt64.self)) }
        return SyncTimes(count: times.count, seconds: Double(times.nanoseconds) / 1e9, buckets: buckets)
    }

    /// What of the disk fails.
    package enum Fault: Int32, Sendable, CaseIterable {
        case write = 1
        case tornWrite = 2
        case sync = 3
        case read = 4
        case killAtWrite = 5
        case killBeforeSync = 6
        case killAfterSync = 7
        case full = 8
        case losePowerAtWrite = 9
        case losePowerBeforeSync = 10
        case losePowerAfterSync = 11
    }

    /// From now on operations of this kind fail on files whose path ends so, after `passes` of them; nil ends it. For tests, one at a time in a process.
    package static func fail(_ fault: Fault?, on pathEnd: String = "", after passes: Int = 0) {
        dovetail_disk_watch_fail(fault?.rawValue ?? 0, pathEnd, Int32(passes))
    }
}
