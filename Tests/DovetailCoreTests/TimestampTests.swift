import Foundation
import Testing

@testable import DovetailCore

@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("2001-01-01T00:00:00Z", 0), ("2026-05-09T06:13:20Z", 800_000_000),
            ("2026-05-09t08:13:20.25+02:00", 800_000_000.25), ("2026-05-09T06:13:20.000001-00:00", 800_000_000.000001),
            ("1970-01-01T00:00:00Z", -978_307_200), ("1990-12-31T23:59:60Z", -315_619_200),
            ("2026-05-09T06:13:20.123456789123Z", 800_000_000.123456789), ("0000-01-01T00:00:00Z", -63_145_526_400),
        ] as [(String, Double)])
    func reads(text: String, seconds: Double) throws {
        let date = try #require(Timestamp.date(text))
        #expect(abs(date.timeIntervalSinceReferenceDate - seconds) < 1e-6)
    }

    @Test(arguments: [
        "", "2026-05-09", "2026-05-09T06:13:20", "2026-05-09T06:13:20+02", "2026-05-09T06:13:20+0200",
        "2026-13-09T06:13:20Z",
        "2026-02-29T06:13:20Z", "1900-02-29T06:13:20Z", "2026-05-00T06:13:20Z", "2026-05-09T24:13:20Z",
        "2026-05-09T06:60:20Z",
        "2026-05-09T06:13:61Z", "2026-05-09T06:13:20.Z", "2026-05-09 06:13:20Z", "2026-05-09T06:13:20Zx",
        "+026-05-09T06:13:20Z",
        "2026-05-09T06:13:20+24:00", "2026-05-09T06:13:20.5", "２026-05-09T06:13:20Z",
    ])
    func refuses(text: String) {
        #expect(Timestamp.date(text) == nil)
    }

    @Test func writesNoMoreDigitsThanNeeded() {
        let second = 800_000_000.0
        #expect(Timestamp.text(Date(timeIntervalSinceReferenceDate: second)) == "2026-05-09T06:13:20Z")
        #expect(Timestamp.text(Date(timeIntervalSinceReferenceDate: second + 0.12)) == "2026-05-09T06:13:20.120Z")
        #expect(
            Timestamp.text(Date(timeIntervalSinceReferenceDate: second + 0.000_001)) == "2026-05-09T06:13:20.000001Z")
        #expect(Timestamp.text(Date(timeIntervalSinceReferenceDate: -0.5)) == "2000-12-31T23:59:59.500Z")
        #expect(Timestamp.text(Date(timeIntervalSinceReferenceDate: .nan)) == nil)
        #expect(Timestamp.text(Date(timeIntervalSinceReferenceDate: .infinity)) == nil)
        #expect(Timestamp.text(Date(timeIntervalSinceReferenceDate: 1e12)) == nil)
    }

    @Test func agreesWithFoundationSinceTheGregorianReform() throws {
        let format = Date.ISO8601FormatStyle()
        for day in stride(from: -152_000, to: 190_000, by: 97) {
            let date = Date(timeIntervalSinceReferenceDate: Double(day * 86_400 + (day & 0xFFFF)))
            let text = try #require(Timestamp.text(date))
            #expect(text == date.formatted(format))
            #expect(Timestamp.date(text) == date)
        }
    }

    @Test func microsecondsSurviveTheRoundTrip() throws {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<10_000 {
            let micros = Int64(generator.next() % 2_000_000_000_000_000)
            let date = Date(timeIntervalSinceReferenceDate: Double(micros) / 1e6)
            let text = try #require(Timestamp.text(date))
            #expect(try Timestamp.text(#require(Timestamp.date(text))) == text)
        }
    }
}
