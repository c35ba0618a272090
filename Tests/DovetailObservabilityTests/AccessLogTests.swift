import DovetailObservability
import Foundation
import Testing

@Suite struct AccessLogTests {
    let record = AccessRecord(
        time: 1_795_348_486_123_000_000, client: "10.0.0.7", method: "GET", path: "/api/orders/17",
        query: "expand=lines&access_token=abc&code=1&a%63cess_token=x", status: 200, bytes: 512, duration: 4_205_678,
        route: "/api", correlationID: "flow-1", traceID: TraceID(high: 1, low: 2))

    func line(_ format: AccessLogFormat, _ record: AccessRecord) -> String {
        String(decoding: format.line(record), as: UTF8.self)
    }

    @Test func writesJSON() {
        #expect(
            line(.json, record) == """
                {"time":"2026-11-22T11:54:46.123Z","client":"10.0.0.7","method":"GET",\
                "path":"/api/orders/17?expand=lines&access_token=(redacted)&code=(redacted)&a%63cess_token=(redacted)",\
                "status":200,"bytes":512,"duration_ms":4.205,"route":"/api","correlation_id":"flow-1",\
                "trace_id":"00000000000000010000000000000002"}

                """)
    }

    @Test func writesWhereARequestWasSentAndWhoSaysItSentIt() {
        var record = record
        record.host = "shop.example"
        record.userAgent = "a \"client\"\n"
        (record.upstream, record.server, record.attempts) = ("orders", "10.0.0.5:80", 2)
        let route = #""route":"/api","host":"shop.example","user_agent":"a \"client\"\n","upstream":"orders","#
        #expect(line(.json, record).contains(route + #""server":"10.0.0.5:80","attempts":2,"correlation_id""#))
        #expect(line(.common, record) == line(.common, self.record), "the common format has no room for it")
    }

    @Test func writesTheCommonLogFormat() {
        var record = record
        record.query = nil
        record.principal = "user 1"
        #expect(
            line(.common, record) == """
                10.0.0.7 - user\\x201 [22/Nov/2026:11:54:46 +0000] "GET /api/orders/17 HTTP/1.1" 200 512

                """)
    }

    @Test func keepsHostileRequestsOnTheirLine() throws {
        var record = record
        record.path = "/a\" 200 1\n10.0.0.8 - - \u{1B}[31m"
        record.route = "quote \" back \\ slash \u{1} é"
        for format in AccessLogFormat.allCases {
            let text = line(format, record)
            #expect(text.filter { $0.isNewline }.count == 1)
            #expect(!text.contains("\u{1B}"))
        }
        let json = try JSONSerialization.jsonObject(with: Data(AccessLogFormat.json.line(record))) as? [String: Any]
        #expect(json?["route"] as? String == record.route)
        #expect((json?["path"] as? String)?.hasPrefix(record.path) == true)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_799, "2000-02-29T23:59:59.000Z"), (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (1_704_067_199, "2023-12-31T23:59:59.000Z"),
    ])
    func knowsTheCalendar(_ seconds: UInt64, _ text: String) {
        var record = record
        record.time = seconds * 1_000_000_000
        #expect(line(.json, record).contains("\"time\":\"\(text)\""))
    }

    @Test func writesEveryRecordToItsFileInOrder() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("access-\(UUID().uuidString).log").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let log = try AccessLog(format: .json, to: .file(path), capacity: 100_000)
        await withTaskGroup(of: Void.self) { group in
            for client in 0..<4 {
                group.addTask {
                    for number in 0..<500 {
                        var record = record
                        record.client = "\(client)"
                        record.bytes = number
                        log.write(record)
                    }
                }
            }
        }
        log.close()
        #expect(log.dropped == 0)
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 2000)
        let first = lines.filter { $0.contains("\"client\":\"0\"") }
        #expect(first.enumerated().allSatisfy { $1.contains("\"bytes\":\($0),") })
        log.write(record)
        #expect(log.dropped == 1)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect((mode ?? 0) & 0o007 == 0)
    }

    @Test func saysWhichFileCannotBeOpened() {
        #expect {
            try AccessLog(to: .file("/no/such/directory/access.log"))
        } throws: { error in
            "\(error)"
                == "the log file '/no/such/directory/access.log' cannot be opened: No such file or directory; check the directory and its permissions"
        }
    }

    #if os(Linux)
        @Test func countsWhatAFullDiskTakesAway() throws {
            let log = try AccessLog(to: .file("/dev/full"))
            for _ in 0..<10 { log.write(record) }
            log.close()
            #expect(log.dropped == 10)
        }
    #endif
}
