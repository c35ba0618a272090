import DovetailCore
import Foundation
import HTTPTypes
import Synchronization
import Testing

@testable import DovetailHTTP

@Suite struct ServerTests {
    @Test func aGracefulShutdownLetsRequestsInFlightFinish() async throws {
        let arrived = Outcome<Void>()
        let gate = Outcome<Void>()
        let slow = Answering { request in
            guard request.path == "/slow" else { return RawResponse(status: .ok) }
            arrived.succeed(())
            _ = try? await gate.value
            return RawResponse(status: .ok, body: .bytes(Array("done".utf8)))
        }
        let address = try await withServer(slow) { address, services in
            try await withTransport(to: address) { transport in
                async let answer = transport.send(.post("/slow"), deadline: nil)
                try await arrived.value
                await services.triggerGracefulShutdown()
                // No new connection is taken from some moment on, while the request is still being answered.
                while true {
                    do {
                        _ = try await withTransport(to: address) { try await $0.send(.get("/"), deadline: nil) }
                    } catch let error as CallError where error.code == .unreachable {
                        break
                    } catch is CallError {
                        continue
                    }
                }
                gate.succeed(())
                #expect(try await answer.text == "done")
                return address
            }
        }
        await #expect(throws: CallError.self) {
            _ = try await withTransport(to: address) { try await $0.send(.get("/"), deadline: nil) }
        }
    }

    @Test func tellsWhoseThePortIs() async throws {
        try await withServer(Answering.echo) { address, _ in
            let second = HTTPServer(address, handler: Answering.echo)
            let thrown = await #expect(throws: ListenError.self) { try await second.run() }
            let error = try #require(thrown)
            #expect(error.code == .addressInUse)
            #expect(error.description.contains(address.description))
            #if os(Linux)
                #expect(error.owner?.processID == Int(ProcessInfo.processInfo.processIdentifier))
                #expect(error.owner?.name.isEmpty == false)
            #endif
            await #expect(throws: ListenError.self) { try await second.boundAddress }
        }
    }

    @Test func tellsThatAnAddressIsNotThisMachines() async throws {
        let server = HTTPServer(.tcp(host: "192.0.2.1", port: 0), handler: Answering.echo)
        let error = await #expect(throws: ListenError.self) { try await server.run() }
        #expect(error?.code == .addressNotAvailable)
    }

    @Test(arguments: [true, false])
    func refusesABodyThatIsTooLong(announced: Bool) async throws {
        let reached = Mutex(false)
        try await withServer(
            Answering { _ in
                reached.withLock { $0 = true }
                return RawResponse(status: .ok)
            }, configuration: .init(maximumBodyBytes: 1000)
        ) { address, _ in
            let framing = announced ? ["-H", "Expect:"] : ["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]
            let output = try await Curl.run(
                framing + ["-i", "--data-binary", "@-", "http://\(address)/v1/orders"], input: Data(count: 300_000))
            #expect(output.hasPrefix("HTTP/1.1 413 "))
            #expect(output.lowercased().contains("content-type: application/problem+json"))
            #expect(output.contains("longer than 1000 bytes"))
        }
        #expect(reached.withLock { !$0 })
    }

    @Test func takesABodyOfExactlyTheLimit() async throws {
        try await withExchange(Answering.echo, configuration: .init(maximumBodyBytes: 1000)) {
            let answer = try await $0.send(.post("/", [UInt8](repeating: 1, count: 1000)), deadline: nil)
            #expect(answer.bytes?.count == 1000)
            let longer = try await $0.send(.post("/", [UInt8](repeating: 1, count: 1001)), deadline: nil)
            #expect(longer.status == .contentTooLarge)
        }
    }

    @Test func servesCurl() async throws {
        let handler = Answering { request in
            RawResponse(
                status: .ok, headers: [.contentType: "application/json"],
                body: .bytes(Array(#"{"bytes":\#(request.body.count)}"#.utf8)))
        }
        try await withServer(handler) { address, _ in
            let url = "http://\(address)"
            #expect(try await Curl.run([url]) == #"{"bytes":0}"#)
            // curl asks whether it may send a body of this size (Expect: 100-continue) and waits for the answer.
            #expect(
                try await Curl.run(["--data-binary", "@-", url], input: Data(count: 2 << 20)) == #"{"bytes":2097152}"#)
            let head = try await Curl.run(["-I", url]).lowercased()
            #expect(head.contains("content-length: 11"))
            #expect(!head.contains("server:"))
            let connections = try await Curl.run([
                "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", url, url, url,
            ])
            #expect(connections == "1 0 0 ")
            #expect(try await Curl.run(["--http1.0", url]) == #"{"bytes":0}"#)
        }
    }

    @Test func servesAStreamToCurl() async throws {
        try await withServer(Answering.streaming(Chunks([[0x31, 0x0A], [0x32, 0x0A]]))) { address, _ in
            let output = try await Curl.run(["-i", "http://\(address)/v1/items"])
            #expect(output.lowercased().contains("transfer-encoding: chunked"))
            #expect(output.hasSuffix("1\n2\n"))
        }
    }

    @Test func aUnixSocketIsItsOwnersAlone() async throws {
        let path = temporarySocketPath()
        try await withServer(Answering.echo, at: .unix(path: path)) { _, _ in
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            let directory = (path as NSString).deletingLastPathComponent
            let left = try FileManager.default.contentsOfDirectory(atPath: directory)
                .filter { $0.hasPrefix((path as NSString).lastPathComponent + ".") }
            #expect(left.isEmpty)
            #expect(try await Curl.run(["--unix-socket", path, "http://node/"]) == "")
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func aSocketInUseIsNotTakenOver() async throws {
        let path = temporarySocketPath()
        try await withServer(Answering.echo, at: .unix(path: path)) { address, _ in
            let second = HTTPServer(address, handler: Answering.echo)
            let error = await #expect(throws: ListenError.self) { try await second.run() }
            #expect(error?.code == .addressInUse)
            #if os(Linux)
                #expect(error?.owner?.processID == Int(ProcessInfo.processInfo.processIdentifier))
            #endif
            let answer = try await withTransport(to: address) { try await $0.send(.get("/"), deadline: nil) }
            #expect(answer.status == .ok)
        }
    }

    @Test func aSocketLeftByADeadProcessIsReplaced() async throws {
        let path = temporarySocketPath()
        try leaveSocket(at: path)
        let answer = try await withServer(Answering.echo, at: .unix(path: path)) { address, _ in
            try await withTransport(to: address) { try await $0.send(.get("/"), deadline: nil) }
        }
        #expect(answer.status == .ok)
    }

    @Test func anotherKindOfFileIsLeftAlone() async throws {
        let path = temporarySocketPath()
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let error = await #expect(throws: ListenError.self) {
            try await HTTPServer(.unix(path: path), handler: Answering.echo).run()
        }
        #expect(error?.code == .invalidPath)
        #expect(FileManager.default.contents(atPath: path) == Data("precious".utf8))
    }

    @Test(arguments: ["/nowhere/at/all.sock", "/tmp/" + String(repeating: "x", count: 120)])
    func aPathThatCannotBeASocketIsSaid(path: String) async throws {
        let error = await #expect(throws: ListenError.self) {
            try await HTTPServer(.unix(path: path), handler: Answering.echo).run()
        }
        #expect(error?.code == .invalidPath)
    }

    @Test(
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
        ] as [(Int64, String)])
    func datesAreInTheFormOfRFC9110(second: Int64, text: String) {
        #expect(HTTPDate.text(second) == text)
    }
}

/// A path for a socket that is not there.
func temporarySocketPath() -> String {
    "/tmp/dovetail-\(UInt32.random(in: .min ... .max)).sock"
}

/// A socket that nobody listens on, as a process leaves it that was killed.
private func leaveSocket(at path: String) throws {
    #if canImport(Darwin)
        let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
    #else
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    #endif
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let bound = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    try #require(bound == 0)
    close(descriptor)
}
