import DovetailCore
import Foundation
import HTTPTypes
import Testing

@Suite struct ProblemTests {
    static let outOfStock = Problem("out-of-stock", status: 409)

    @Test func survivesTheRoundTrip() throws {
        var problem = Self.outOfStock("product 7 has 2 left")
        problem.instance = "0198c1b2"
        problem.contract = "inventory@1"
        problem.violations = [.init(pointer: "/lines/0/quantity", expected: "an integer from 1 to 99, found 0")]
        problem.retryAfter = .milliseconds(1500)
        let bytes = try JSON.encode(problem)
        #expect(try JSON.decode(Problem.self, from: bytes) == problem)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"type":"out-of-stock","title":"Out of stock","status":409,"detail":"product 7 has 2 left","#
                + #""instance":"0198c1b2","contract":"inventory@1","violations":[{"pointer":"/lines/0/quantity","#
                + #""expected":"an integer from 1 to 99, found 0"}],"retryAfter":1.5}"#)
        #expect(try encoded(Self.outOfStock) == #"{"type":"out-of-stock","title":"Out of stock","status":409}"#)
    }

    @Test func foreignProblemsAreReadAsFarAsTheyGo() throws {
        let empty = try decoded(Problem.self, "{}")
        #expect(empty.type == "about:blank")
        #expect(empty.status == 500)
        // RFC 9457, 3.1: members of the wrong type are ignored.
        let odd = try decoded(
            Problem.self,
            #"{"type":"x","status":"409","title":7,"detail":null,"violations":{},"retryAfter":1e300,"balance":30}"#)
        #expect(odd.type == "x")
        #expect(odd.status == 500)
        #expect(odd.title == "X")
        #expect(odd.violations.isEmpty)
        #expect(odd.retryAfter == .seconds(1_000_000_000))
        #expect(try decoded(Problem.self, #"{"retryAfter":-5}"#).retryAfter == .zero)
        #expect(throws: JSONError.self) { try decoded(Problem.self, "[]") }
    }

    @Test func matchesByType() {
        var other = Self.outOfStock("again")
        other.status = 410
        #expect(Self.outOfStock ~= (other as any Error))
        #expect(!(Self.outOfStock ~= (Problem("sold-out", status: 409) as any Error)))
        #expect(!(Self.outOfStock ~= (CancellationError() as any Error)))
        do { throw Self.outOfStock("2 left") } catch Self.outOfStock {} catch { Issue.record("caught \(error)") }
    }

    @Test func titleIsMadeFromTheType() {
        #expect(Problem("https://example.org/problems/card-declined", status: 402).title == "Card declined")
        #expect(Problem("x", status: 400, title: "Own words").title == "Own words")
        #expect(Problem("", status: 400).title == "")
        #expect("\(Self.outOfStock("2 left"))" == "409 out-of-stock: 2 left")
    }

    @Test func statusSaysWhetherAnotherAttemptMayHelp() {
        for (status, kind) in [
            (429, FailureKind.transient), (503, .transient), (500, .inDoubt), (502, .inDoubt), (504, .inDoubt),
            (408, .inDoubt), (400, .permanent), (409, .permanent), (501, .permanent),
        ] {
            #expect(FailureKind.of(Problem("x", status: status)) == kind)
        }
        #expect(FailureKind.of(CancellationError()) == .permanent)
    }

    @Test func callErrorsTellWhetherTheCallWasSent() {
        func kind(_ code: CallError.Code, wasSent: Bool) -> FailureKind {
            FailureKind.of(CallError(code, callee: "payments", message: "no answer", wasSent: wasSent))
        }
        #expect(kind(.unreachable, wasSent: false) == .notSent)
        #expect(kind(.deadlineExceeded, wasSent: false) == .notSent)
        #expect(kind(.deadlineExceeded, wasSent: true) == .inDoubt)
        #expect(kind(.answerLost, wasSent: true) == .inDoubt)
        #expect(kind(.invalidAnswer, wasSent: true) == .permanent)
        #expect(
            "\(CallError(.circuitOpen, callee: "payments", message: "the circuit is open", wasSent: false))"
                == "payments: the circuit is open (circuitOpen)")
    }

    @Test func answersAsProblemJSON() throws {
        var problem = Self.outOfStock
        problem.retryAfter = .milliseconds(1200)
        let response = RawResponse.problem(problem)
        #expect(response.status.code == 409)
        #expect(response.headers[.contentType] == "application/problem+json")
        #expect(response.headers[.retryAfter] == "2")
        guard case .bytes(let body) = response.body else { return #expect(Bool(false), "a body in bytes") }
        #expect(try JSON.decode(Problem.self, from: body) == problem)
        problem.retryAfter = .zero
        #expect(RawResponse.problem(problem).headers[.retryAfter] == "1")
        problem.retryAfter = .seconds(Int64.max)
        #expect(RawResponse.problem(problem).headers[.retryAfter] == "9223372037")
        problem.retryAfter = nil
        #expect(RawResponse.problem(problem).headers[.retryAfter] == nil)
    }

    @Test(arguments: [-1, 0, 42, 199, 600, 1000, Int.max])
    func statusThatNoAnswerHasBecomes500(status: Int) {
        #expect(RawResponse.problem(Problem("x", status: status)).status.code == 500)
    }
}
