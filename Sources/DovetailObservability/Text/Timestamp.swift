import Tracing

/// A moment in UTC, as log lines write it. Cheaper than a formatter, and without a locale.
struct Timestamp {
    let year: Int
    let month: Int
    let day: Int
    let secondOfDay: Int
    let millisecond: Int

    /// The moment so many nanoseconds after 1970.
    init(nanoseconds: UInt64) {
        let seconds = Int(nanoseconds / 1_000_000_000)
        millisecond = Int(nanoseconds % 1_000_000_000 / 1_000_000)
        secondOfDay = seconds % 86_400
        // Days since 1 March of year 0, so that a leap day is the last of its year, in eras of 400 years.
        let days = seconds / 86_400 + 719_468
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + days / 146_097 * 400 + (month <= 2 ? 1 : 0)
    }

    /// Now, by the wall clock.
    static var now: Timestamp { Timestamp(nanoseconds: DefaultTracerClock.now.nanosecondsSinceEpoch) }

    /// `2026-11-22T11:54:46.123Z` (RFC 3339).
    var internet: String {
        let date = "\(Timestamp.digits(year, 4))-\(Timestamp.digits(month, 2))-\(Timestamp.digits(day, 2))"
        return "\(date)T\(time).\(Timestamp.digits(millisecond, 3))Z"
    }

    /// `22/Nov/2026:11:54:46 +0000`, as the Common Log Format has it.
    var common: String {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(Timestamp.digits(day, 2))/\(months[month - 1])/\(Timestamp.digits(year, 4)):\(time) +0000"
    }

    private var time: String {
        let parts = [secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60]
        return parts.map { Timestamp.digits($0, 2) }.joined(separator: ":")
    }

    private static func digits(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
