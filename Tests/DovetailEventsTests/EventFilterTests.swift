import DovetailCore
import Foundation
import Testing

@testable import DovetailEvents

@Suite struct EventFilterTests {
    private func event(_ data: String, key: String = "k", headers: [String: String] = [:]) -> StoredEvent {
        var draft = EventDraft(type: "order.placed", key: key, source: "orders", data: Array(data.utf8))
        draft.attributes.headers = headers
        return StoredEvent(
            position: LogPosition(log: .v7(), epoch: 1, number: 1), stream: nil, time: Date(), draft: draft)
    }

    private func holds(_ text: String, _ event: StoredEvent) throws -> Bool {
        var filtered = FilteredEvent(event)
        return filtered.satisfies(try EventFilter(parsing: text))
    }

    @Test(arguments: [
        ("type = 'order.placed'", true), ("type = \"order.placed\"", true), ("type <> 'x'", true),
        ("TYPE = 'order.placed'", false), ("source LIKE 'ord%'", true), ("source LIKE '_rders'", true),
        ("source LIKE '_ders'", false), ("source NOT LIKE '%x%'", true), ("data.total > 99", true),
        ("data.total > 100", false), ("data.total >= 100.0", true), ("data.total = '100'", true),
        ("data.lines.0.sku = 'a-1'", true), ("data.lines.1.sku = 'a-1'", false), ("EXISTS data.customer", true),
        ("EXISTS data.none", false), ("EXISTS data.nothing", false), ("NOT EXISTS data.nothing", true),
        ("data.nothing = 1", false), ("data.nothing != 1", false), ("NOT data.nothing = 1", true),
        ("data.flag = TRUE", true), ("data.flag = false", false), ("data.name < 'b'", true),
        ("data.name IN ('x', 'a', 3)", true), ("data.total IN (1, 100)", true), ("data.name NOT IN ('a')", false),
        ("region = 'eu' AND data.total = 100", true), ("region = 'us' OR data.total = 100", true),
        ("region = 'us' AND data.total = 100 OR type = 'order.placed'", true),
        ("region = 'us' AND (data.total = 100 OR type = 'order.placed')", false),
        ("NOT (region = 'us') and not FALSE", true), ("level > 9", true), ("data.total < 'abc'", false),
        ("data.customer = 'x'", false), ("data.customer != 'x'", true), ("TRUE", true),
        ("data.total < 66666606000666666661", true), ("data.total > -1.5e-30", true), ("data.total = 1E+2", true),
        ("partitionkey = 'k' AND specversion = '1.0' AND dataversion = 1", true),
    ])
    func readsAndDecides(_ text: String, _ expected: Bool) throws {
        let event = event(
            #"{"total":100,"name":"a","flag":true,"none":null,"customer":{"id":7},"lines":[{"sku":"a-1"}]}"#,
            headers: ["region": "eu", "level": "10"])
        #expect(try holds(text, event) == expected)
        // What it prints reads as the same.
        #expect(try holds(EventFilter(parsing: text).description, event) == expected)
    }

    @Test(arguments: [
        "", "type", "type =", "type = 'x", "= 'x'", "type = x", "type == 'x'", "(type = 'x'", "type = 'x')",
        "data = 1", "data. = 1", "type.x = 1", "type IN ()", "type IN 'x'", "type LIKE 5", "AND", "NOT", "a = 1 b = 2",
        "type = 1e999", "\u{0}", "type = 'x' XOR type = 'y'", String(repeating: "(", count: 100),
        String(repeating: "a", count: 9000),
    ])
    func saysWhereTextIsWrong(_ text: String) {
        #expect {
            try EventFilter(parsing: text)
        } throws: { error in
            (error as? FilterSyntaxError)?.description.contains("expected") == true
                || (error as? FilterSyntaxError)?.description.contains("at most") == true
        }
        #expect(EventFilter(text) == nil)
    }

    @Test func operatorsMakeTheSameFilters() throws {
        let filter: EventFilter =
            .data("total") > 100 && .source == "orders" && !(EventField.type.hasPrefix("a_%") || EventField.key.exists)
        #expect(
            filter.description
                == #"data.total > 100 AND source = 'orders' AND NOT (type LIKE 'a\\_\\%%' OR EXISTS partitionkey)"#)
        #expect(try EventFilter(parsing: filter.description) == filter)
    }

    /// A mark that combines with a quote or a wildcard does not take its meaning from it.
    @Test func marksThatCombineHideNothing() throws {
        let mark = "\u{670}"
        let filter: EventFilter =
            .type == .string("a'\(mark)b\\\(mark)") && EventField.source.hasPrefix("%\(mark)_\(mark)")
        #expect(try EventFilter(parsing: filter.description) == filter)
        #expect(!Likeness(EventFilter.escaped("%\(mark)")).holds(for: "x\(mark)"))
    }

    @Test func aPayloadThatIsNoJSONHasNoFields() throws {
        #expect(try holds("NOT EXISTS data.x", event("\u{1}\u{2}")))
        #expect(try holds("data.x != 1", event("\u{1}\u{2}")) == false)
    }

    /// A pattern full of wildcards against a long text, which would take a naive matcher for ever.
    @Test(.timeLimit(.minutes(1))) func likeTakesNoLongerForManyWildcards() {
        let pattern = String(repeating: "%a", count: 60) + "b"
        #expect(Likeness(pattern).holds(for: String(repeating: "a", count: 10_000)) == false)
        #expect(Likeness("%a%b%").holds(for: "xxaxxbxx"))
        #expect(Likeness(#"100\%"#).holds(for: "100%"))
        #expect(!Likeness(#"100\%"#).holds(for: "100x"))
    }

    /// Random texts of the language's own words neither crash nor hang, and what is read prints as something that reads the same.
    @Test(.timeLimit(.minutes(1))) func randomTexts() throws {
        var generator = SeededGenerator(seed: 7)
        let words = [
            "type", "data.x", "=", "!=", "<", "'a'", "\"", "'", "5", "-1.5", "(", ")", "AND", "OR", "NOT", "LIKE", "IN",
            "EXISTS", "TRUE", ",", ".", "\\", "%", "é", "data",
        ]
        var read = 0
        for _ in 0..<30_000 {
            let count = Int.random(in: 1...9, using: &generator)
            let text = (0..<count).map { _ in words.randomElement(using: &generator) ?? "" }.joined(separator: " ")
            guard let filter = EventFilter(text) else { continue }
            read += 1
            let again = try EventFilter(parsing: filter.description)
            #expect(again == filter, "\(text)")
        }
        #expect(read > 100)
    }
}
