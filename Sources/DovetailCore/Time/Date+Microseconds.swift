import Foundation

extension Date {
    /// Whole microseconds since 1970, the nearest that 64 bits hold.
    package var microsecondsSince1970: Int64 {
        let microseconds = (timeIntervalSince1970 * 1e6).rounded()
        return Int64(exactly: microseconds) ?? (microseconds > 0 ? .max : .min)
    }
}
