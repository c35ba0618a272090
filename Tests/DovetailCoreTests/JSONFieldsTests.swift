import DovetailCore
import Foundation
import Testing

@Suite struct JSONFieldsTests {
    enum Sort: String, Codable, CaseIterable { case up, down }

    struct Query: Codable, Equatable {
        var id: UUID
        var name: String
        var limit: Int?
        var ratio: Double?
        var deep: Bool?
        var sort: Sort?
        var tags: [String]?
        var sizes: [UInt8]?
        var since: Date?
        var body: [Int]?
    }

    let id = "0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60"

    func path(_ name: String, _ value: String) -> JSON.Field { .init(name: name, value: value, origin: "path") }
    func query(_ name: String, _ value: String) -> JSON.Field { .init(name: name, value: value, origin: "query") }

    @Test func fillEveryKindOfField() throws {
        let read = try decoded(
            Query.self, "",
            fields: [
                path("id", id), query("name", "12"), query("limit", "7"), query("tags", "a"), query("ratio", "1.5e1"),
                query("deep", "true"), query("tags", "b \"c\""), query("sort", "down"), query("sizes", "255"),
                query("since", "2026-05-09T06:13:20Z"), query("unknown", "x"),
            ])
        #expect(read.id == UUID(uuidString: id))
        #expect(read.name == "12")
        #expect(read.limit == 7)
        #expect(read.ratio == 15)
        #expect(read.deep == true)
        #expect(read.sort == .down)
        #expect(read.tags == ["a", "b \"c\""])
        #expect(read.sizes == [255])
        #expect(read.since == Date(timeIntervalSinceReferenceDate: 800_000_000))
        #expect(read.body == nil)
    }

    @Test func joinTheBodyAndWinOverIt() throws {
        let read = try decoded(
            Query.self, #"{"id":"no","name":"body","body":[1,2],"limit":3,"n\u0061me":"again"}"#,
            fields: [path("id", id), query("name", "field")])
        #expect(read.name == "field")
        #expect(read.body == [1, 2])
        #expect(read.limit == 3)
    }

    @Test(arguments: [
        ([("limit", "x")], "query:limit", "an integer", "\"x\""),
        ([("limit", "")], "query:limit", "an integer", "\"\""),
        ([("limit", "0x1")], "query:limit", "an integer", "\"0x1\""),
        ([("limit", " 1")], "query:limit", "an integer", "\" 1\""),
        ([("deep", "yes")], "query:deep", "true or false", "\"yes\""),
        ([("sort", "left")], "query:sort", #"one of "up", "down""#, "\"left\""),
        ([("sizes", "1"), ("sizes", "256")], "query:sizes", "an integer from 0 to 255", "\"256\""),
        ([("limit", "1"), ("limit", "2")], "query:limit", "an integer", "several values"),
        ([("since", "now")], "query:since", "a date and time such as 2026-01-31T12:00:00Z", "\"now\""),
    ])
    func errorsNameTheField(fields: [(String, String)], pointer: String, expected: String, found: String) {
        let all = [path("id", id), query("name", "n")] + fields.map { query($0.0, $0.1) }
        let error = #expect(throws: JSONError.self) { try decoded(Query.self, "{}", fields: all) }
        #expect(error?.pointer == pointer)
        #expect(error?.expected == expected)
        #expect(error?.found == found)
    }

    @Test func errorOfAPathParameterSaysPath() {
        let error = #expect(throws: JSONError.self) { try decoded(Query.self, "{}", fields: [path("id", "7")]) }
        #expect(error == JSONError(pointer: "path:id", expected: "a UUID", found: "\"7\""))
    }

    @Test func needABodyThatIsAnObject() {
        for text in ["[]", "1", "{"] {
            #expect(throws: JSONError.self) { try decoded(Query.self, text, fields: [path("id", id)]) }
        }
    }
}
