import DovetailCore
import Foundation
import HTTPTypes
import TestSupport
import Testing

@testable import DovetailEvents

@Suite struct CloudEventTests {
    private static let whole = """
        {"specversion":"1.0","id":"a-1","source":"/shop/orders","type":"order.placed","subject":"o-7",
         "time":"2026-01-31T12:00:00.5+02:00","datacontenttype":"application/json","dataschema":"https://shop.example/order",
         "traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","region":"eu","count":3,"urgent":true,"none":null,
         "expirytime":"2030-01-01T00:00:00Z","dataversion":"2","data":{"total":12.50,"big":12345678901234567890123,"text":"é\\n"}}
        """

    @Test func readsEveryAttributeAndKeepsTheDataByteForByte() throws {
        let event = try CloudEvent(json: Array(Self.whole.utf8))
        #expect(event.id == "a-1")
        #expect(event.source == "/shop/orders")
        #expect(event.type == "order.placed")
        #expect(event.attributes["count"] == "3")
        #expect(event.attributes["urgent"] == "true")
        #expect(event.attributes["none"] == nil)
        #expect(event.attributes["time"] == "2026-01-31T12:00:00.5+02:00")
        let data = try #require(event.data)
        #expect(
            String(decoding: data, as: UTF8.self)
                == #"{"total":12.50,"big":12345678901234567890123,"text":"é\n"}"#)
    }

    /// What the specification's own conformance documents call valid.
    @Test(arguments: [
        #"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#,
        #"{"specversion":"1.0","id":"1","source":"urn:a:b","type":"com.example.t","subject":null,"time":null}"#,
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","data":null}"#,
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","data":"text"}"#,
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","data":[1,2]}"#,
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"AQID"}"#,
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"text/plain; charset=utf-8","data":"x"}"#,
        #"{"specversion":"1.0","id":"1","source":"s","type":"t","ext1":-5,"ext2":false,"ext3":"x"}"#,
        #"{"data":1,"type":"t","source":"s","id":"1","specversion":"1.0"}"#,
    ])
    func takesWhatIsValid(_ text: String) throws {
        let event = try CloudEvent(json: Array(text.utf8))
        #expect(try CloudEvent(json: event.json) == event)
    }

    /// What they call invalid, and the attribute that the answer names.
    @Test(arguments: [
        ("", ""), ("null", ""), ("[]", ""), ("{}", "specversion"), (#"{"specversion":"1.0"}"#, "id"),
        (#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#, "specversion"),
        (#"{"specversion":1.0,"id":"1","source":"s","type":"t"}"#, "specversion"),
        (#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#, "id"),
        (#"{"specversion":"1.0","id":null,"source":"s","type":"t"}"#, "id"),
        (#"{"specversion":"1.0","id":7,"source":"s","type":"t"}"#, "id"),
        (#"{"specversion":"1.0","id":"1","source":"","type":"t"}"#, "source"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":""}"#, "type"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"$own"}"#, "type"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"a..b"}"#, "type"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"yesterday"}"#, "time"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-01-31T12:00:00"}"#, "time"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":1}"#, "time"),
        (
            #"{"specversion":"1.0","id":"1","source":"s","type":"t","expirytime":"9999-12-31T23:59:59-01:00"}"#,
            "expirytime"
        ),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","time":"0000-01-01T00:00:00+01:00"}"#, "time"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":""}"#, "subject"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","dataschema":""}"#, "dataschema"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","dataschema":"relative"}"#, "dataschema"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"json"}"#, "datacontenttype"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":""}"#, "datacontenttype"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","Ext":"x"}"#, "Ext"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","my-ext":"x"}"#, "my-ext"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","ext_1":null}"#, "ext_1"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","ext":{}}"#, "ext"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","ext":1.5}"#, "ext"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","ext":"a\u0001"}"#, "ext"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","dataversion":"0"}"#, "dataversion"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":"AQID"}"#, "data"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"!"}"#, "data_base64"),
        (#"{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":7}"#, "data_base64"),
        (
            #"{"specversion":"1.0","id":"1","source":"s","type":"t","abcdefghijklmnopqrstu":"x"}"#,
            "abcdefghijklmnopqrstu"
        ),
    ])
    func namesTheAttributeThatIsWrong(_ text: String, _ attribute: String) {
        #expect {
            try CloudEvent(json: Array(text.utf8))
        } throws: { error in
            (error as? CloudEventError)?.attribute == attribute
        }
    }

    @Test func lineEndsInDataStayExceptWhereALineIsAskedFor() throws {
        let event = CloudEvent(id: "1", source: "s", type: "t", data: Array("{\r\n\"a\" :\n1}".utf8))
        #expect(try CloudEvent(json: event.json).data == event.data)
        #expect(!event.line.contains(10) && !event.line.contains(13))
        #expect(try JSON.decode(JSONValue.self, from: event.line)["data"] == ["a": 1])
    }

    @Test func aBatchNamesTheEventThatIsWrong() throws {
        let good = #"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#
        #expect(try CloudEvent.batch(json: Array("[\(good), \(good)]".utf8), atMost: 2).count == 2)
        #expect(try CloudEvent.batch(json: Array("[]".utf8), atMost: 2).isEmpty)
        #expect {
            try CloudEvent.batch(json: Array("[\(good),{}]".utf8), atMost: 2)
        } throws: { error in
            (error as? CloudEventError)?.pointer == "/1/specversion"
        }
        #expect(throws: CloudEventError.self) { try CloudEvent.batch(json: Array("[\(good),\(good)]".utf8), atMost: 1) }
        #expect(throws: CloudEventError.self) { try CloudEvent.batch(json: Array(good.utf8), atMost: 9) }
    }

    @Test func binaryModeCarriesTheSame() throws {
        var event = try CloudEvent(json: Array(Self.whole.utf8))
        event.attributes["note"] = "ü 100%\" sure"
        let again = try CloudEvent.read(event.headers, event.data ?? [], atMost: 1)
        #expect(again == [event])
        #expect(event.headers[HTTPField.Name("ce-note") ?? .accept] == "%C3%BC%20100%25%22%20sure")
    }

    @Test(arguments: [
        ([:] as [String: String], "specversion"), (["ce-specversion": "1.0"], "id"),
        (
            ["ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-datacontenttype": "a/b"],
            "datacontenttype"
        ),
        (["ce-specversion": "1.0", "ce-id": "%ZZ", "ce-source": "s", "ce-type": "t"], "id"),
        (["ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t"], "datacontenttype"),
        (["content-type": "application/cloudevents+avro"], ""),
    ])
    func binaryModeNamesWhatIsWrong(_ headers: [String: String], _ attribute: String) {
        var fields = HTTPFields()
        for (name, value) in headers { fields[HTTPField.Name(name) ?? .accept] = value }
        #expect {
            try CloudEvent.read(fields, [1], atMost: 1)
        } throws: { error in
            (error as? CloudEventError)?.attribute == attribute
        }
    }

    @Test func theLogKeepsAllOfIt() throws {
        let event = try CloudEvent(json: Array(Self.whole.utf8))
        let draft = event.draft
        #expect(draft.key == "o-7")
        #expect(draft.version == 2)
        #expect(draft.attributes.traceparent?.hasPrefix("00-0af7") == true)
        #expect(draft.attributes.expiresAt == Date(timeIntervalSince1970: 1_893_456_000))
        #expect(draft.id == event.draft.id, "the same event has the same id each time")
        let stored = StoredEvent(
            position: LogPosition(log: .v7(), epoch: 1, number: 5), stream: nil, time: Date(), draft: draft)
        var told = CloudEvent(stored)
        #expect(told.attributes.removeValue(forKey: "dovetailposition") == stored.position.description)
        #expect(told.attributes.removeValue(forKey: "partitionkey") == "o-7")
        #expect(told == event)
        // Told on and taken in again, it is the same event there.
        #expect(CloudEvent(stored).draft.id == draft.id)
    }

    @Test func anIDOfTheLogsOwnKindStaysAsItIs() throws {
        let id = UniqueID.v7()
        #expect(CloudEvent(id: id.description, source: "a", type: "t").draft.id == id)
        let other = CloudEvent(id: "7", source: "a", type: "t").draft
        #expect(other.id != CloudEvent(id: "7", source: "b", type: "t").draft.id)
        #expect(other.attributes.headers?["id"] == "7")
        // Upper case is another text, and stays that.
        let upper = CloudEvent(id: id.description.uppercased(), source: "a", type: "t").draft
        let stored = StoredEvent(
            position: LogPosition(log: id, epoch: 1, number: 1), stream: nil, time: Date(), draft: upper)
        #expect(CloudEvent(stored).id == id.description.uppercased())
    }

    /// Bytes changed at random: no crash, and what is taken says itself again.
    @Test(.timeLimit(.minutes(2)), arguments: 0..<20 as Range<UInt64>) func randomDamage(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let original = Array(Self.whole.utf8)
        let interesting = Array("{}[]\",:\\u00e9\u{1}\u{7F}0-.null$%".utf8) + [0xC3, 0xFF, 0x80]
        var taken = 0
        for _ in 0..<2000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = interesting.randomElement(using: &generator) ?? 0
                case 1: bytes.remove(at: place)
                default: bytes.insert(interesting.randomElement(using: &generator) ?? 0, at: place)
                }
            }
            guard let event = try? CloudEvent(json: bytes) else { continue }
            taken += 1
            #expect(
                try CloudEvent(json: event.json) == event, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
            #expect(event.draft.id == event.draft.id)
            let binary = try CloudEvent.read(event.headers, event.data ?? [], atMost: 1)
            #expect(binary.first?.attributes["subject"] == event.attributes["subject"])
        }
        #expect(taken > 100, "seed \(seed)")
    }

    /// The specification's own library for Python reads what is written here.
    @Test(.enabled(if: PythonOracle.has("cloudevents"))) func anothersLibraryReadsIt() throws {
        let event = try CloudEvent(json: Array(Self.whole.utf8))
        let script = """
            import sys, json
            from cloudevents.v1.http import from_json, from_http, to_structured, to_binary
            event = from_json(sys.stdin.read())
            headers, body = to_binary(event)
            again = from_http(headers, body)
            print(json.dumps([event["id"], event["type"], event["subject"], again["region"], event.data["total"]]))
            """
        let output = try PythonOracle.run(script, input: String(decoding: event.json, as: UTF8.self))
        #expect(output == #"["a-1", "order.placed", "o-7", "eu", 12.5]"# + "\n")
    }
}
