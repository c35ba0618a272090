import Foundation

/// Dates as RFC 3339 text, to the microsecond.
package enum Timestamp {
    /// Seconds from 1970 to 2001, the origin of `Date`.
    private static let epoch: Int64 = 978_307_200

    /// The date that RFC 3339 text says, whatever its offset and fraction; nil if it is none.
    ///
    /// A leap second counts as the second after it.
    package static func date(_ text: UnsafeBufferPointer<UInt8>) -> Date? {
        guard text.count >= 20,
            let year = number(text, 0, 4), text[4] == UInt8(ascii: "-"),
            let month = number(text, 5, 2), text[7] == UInt8(ascii: "-"),
            let day = number(text, 8, 2), text[10] | 0x20 == UInt8(ascii: "t"),
            let hour = number(text, 11, 2), text[13] == UInt8(ascii: ":"),
            let minute = number(text, 14, 2), text[16] == UInt8(ascii: ":"),
            let second = number(text, 17, 2),
            1...12 ~= month, 1...days(in: month, of: year) ~= day, hour < 24, minute < 60, second <= 60
        else { return nil }
        var at = 19
        var fraction = 0.0
        if text[at] == UInt8(ascii: ".") {
            at += 1
            var digits: Int64 = 0
            var scale: Int64 = 1
            let start = at
            while at < text.count, text[at] &- 48 < 10 {
                if scale < 1_000_000_000 {
                    digits = digits * 10 + Int64(text[at] - 48)
                    scale *= 10
                }
                at += 1
            }
            guard at > start else { return nil }
            fraction = Double(digits) / Double(scale)
        }
        guard let offset = offset(text, at) else { return nil }
        let whole = day0(year, month, day) * 86_400 + Int64(hour * 3600 + minute * 60 + second - offset) - epoch
        return Date(timeIntervalSinceReferenceDate: Double(whole) + fraction)
    }

    /// The date that RFC 3339 text says; nil if it is none.
    package static func date(_ text: String) -> Date? {
        var text = text
        return text.withUTF8(date)
    }

    /// `date` in UTC, as `2026-01-31T12:00:00Z` or with three or six digits of fraction; nil outside the years 0 to 9999.
    package static func text(_ date: Date) -> String? {
        var text = [UInt8](repeating: 0, count: 27)
        let count = text.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.flatMap { write(date, to: $0) }
        }
        return count.map { String(decoding: text[..<$0], as: UTF8.self) }
    }

    /// Writes `date` to 27 bytes at `buffer`; the number of bytes used, nil outside the years 0 to 9999.
    static func write(_ date: Date, to buffer: UnsafeMutablePointer<UInt8>) -> Int? {
        let scaled = (date.timeIntervalSinceReferenceDate * 1e6).rounded()
        guard abs(scaled) < 1e18 else { return nil }
        let microseconds = Int64(scaled)
        let (second, micro) = floorDivide(microseconds, 1_000_000)
        let (day, time) = floorDivide(second + epoch, 86_400)
        let (year, month, dayOfMonth) = civil(day)
        guard 0...9999 ~= year else { return nil }
        put(year, 4, "-", buffer)
        put(month, 2, "-", buffer + 5)
        put(dayOfMonth, 2, "T", buffer + 8)
        put(Int(time / 3600), 2, ":", buffer + 11)
        put(Int(time / 60 % 60), 2, ":", buffer + 14)
        put(Int(time % 60), 2, micro == 0 ? "Z" : ".", buffer + 17)
        if micro == 0 { return 20 }
        let isMillisecond = micro % 1000 == 0
        put(Int(isMillisecond ? micro / 1000 : micro), isMillisecond ? 3 : 6, "Z", buffer + 20)
        return isMillisecond ? 24 : 27
    }

    private static func put(_ value: Int, _ digits: Int, _ end: Unicode.Scalar, _ buffer: UnsafeMutablePointer<UInt8>) {
        var value = value
        for index in stride(from: digits - 1, through: 0, by: -1) {
            buffer[index] = UInt8(truncatingIfNeeded: 48 + value % 10)
            value /= 10
        }
        buffer[digits] = UInt8(truncatingIfNeeded: end.value)
    }

    private static func number(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ count: Int) -> Int? {
        var value = 0
        for index in start..<start + count {
            let digit = text[index] &- 48
            guard digit < 10 else { return nil }
            value = value * 10 + Int(digit)
        }
        return value
    }

    /// The offset at `start` in seconds east of UTC, if the text ends behind it.
    private static func offset(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int? {
        guard start < text.count else { return nil }
        if text[start] | 0x20 == UInt8(ascii: "z") { return text.count == start + 1 ? 0 : nil }
        guard text.count == start + 6, text[start] == UInt8(ascii: "+") || text[start] == UInt8(ascii: "-"),
            let hours = number(text, start + 1, 2), text[start + 3] == UInt8(ascii: ":"),
            let minutes = number(text, start + 4, 2), hours < 24, minutes < 60
        else { return nil }
        let seconds = hours * 3600 + minutes * 60
        return text[start] == UInt8(ascii: "-") ? -seconds : seconds
    }

    // MARK: The proleptic Gregorian calendar, in days since 1970-01-01, with years that begin in March

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func day0(_ year: Int, _ month: Int, _ day: Int) -> Int64 {
        let marchYear = Int64(month > 2 ? year : year - 1)
        let (era, yearOfEra) = floorDivide(marchYear, 400)
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ day: Int64) -> (year: Int, month: Int, day: Int) {
        let (era, dayOfEra) = floorDivide(day + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let march = (5 * dayOfYear + 2) / 153
        let month = march < 10 ? march + 3 : march - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (Int(year), Int(month), Int(dayOfYear - (153 * march + 2) / 5 + 1))
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
