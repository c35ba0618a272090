import Foundation
import Synchronization

/// The `Date` field's value, made once a second (RFC 9110 5.6.7).
final class HTTPDate: Sendable {
    private let latest = Mutex((second: Int64.min, text: ""))

    /// The present second, as in `Sun, 06 Nov 1994 08:49:37 GMT`.
    var now: String {
        let second = Int64(Date().timeIntervalSince1970)
        return latest.withLock { latest in
            if latest.second != second { latest = (second, Self.text(second)) }
            return latest.text
        }
    }

    /// The text of a second since 1970, by the days-to-civil algorithm over 400-year eras.
    static func text(_ second: Int64) -> String {
        let days = Int(second >= 0 ? second / 86_400 : (second - 86_399) / 86_400)
        let time = Int(second - Int64(days) * 86_400)
        // Days since 0000-03-01, so that a leap day is a year's last day.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0)
        let weekday = weekdays[((days % 7) + 11) % 7]
        return "\(weekday), \(two(day)) \(months[month]) \(year) "
            + "\(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60)) GMT"
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb",
    ]
}
