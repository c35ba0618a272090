/// Dates as HTTP has them (RFC 9110 5.6.7). The two old forms count as none.
enum HTTPDate {
    private static let months: [StaticString] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]

    /// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970; nil for anything else.
    static func seconds(_ text: UnsafeRawBufferPointer) -> Int64? {
        guard text.count == 29, text[3] == 0x2C, text[4] == 0x20, text[19] == 0x3A, text[22] == 0x3A else { return nil }
        func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: text[range]) }
        guard part(26..<29).equalsIgnoringCase("gmt"), let day = part(5..<7).decimal(),
            let month = months.firstIndex(where: { part(8..<11).equalsIgnoringCase($0) }),
            let year = part(12..<16).decimal(), let hour = part(17..<19).decimal(),
            let minute = part(20..<22).decimal(),
            let second = part(23..<25).decimal(), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        // Days from the civil calendar, with the year beginning in March (after Hinnant's days_from_civil).
        let shifted = month < 2 ? year - 1 : year
        let era = shifted / 400
        let ofEra = shifted - era * 400
        let ofYear = (153 * (month < 2 ? month + 10 : month - 2) + 2) / 5 + day - 1
        let days = era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
        return Int64(days) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }
}
