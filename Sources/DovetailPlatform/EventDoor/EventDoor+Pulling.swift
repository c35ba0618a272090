import DovetailContracts
import DovetailCore
import DovetailEvents
import Foundation

/// Events out, for a subscriber whose place the platform keeps: it fetches, and says when it is done with each.
extension EventDoor {
    func fetch(from queue: PullQueue, _ query: EventQuery) async throws -> RawResponse {
        try query.allow("limit", "wait")
        let limit = try query.number("limit", 1...1000, default: 10)
        let wait = try query.number("wait", 0...60, default: 0)
        let fetched = try await queue.fetch(limit, wait: .seconds(wait))
        var body = Array(#"{"deliveries":["#.utf8)
        for (index, delivery) in fetched.enumerated() {
            if index > 0 { body.append(UInt8(ascii: ",")) }
            body +=
                #"{"token":"\#(delivery.token)","attempt":\#(delivery.attempt),"deadline":"\#(Timestamp.text(delivery.deadline) ?? "")","event":"#
                .utf8
            body += CloudEvent(delivery.event).json
            body.append(UInt8(ascii: "}"))
        }
        body += "]}".utf8
        return RawResponse(status: .ok, headers: [.contentType: "application/json"], body: .bytes(body))
    }

    private struct Settlement: Decodable {
        var tokens: [String]
        var error: String?
    }

    private struct Settled: Encodable {
        /// How many were settled.
        var settled: Int
        /// Tokens that stand for nothing any more: their time was over, or they were settled before.
        var unknown: [String]
    }

    func settle(_ request: RawRequest, in queue: PullQueue, refusing: Bool) throws -> RawResponse {
        let settlement: Settlement
        do { settlement = try JSON.decode(Settlement.self, from: request.body) } catch let error as JSONError {
            throw Problem.invalidInput([.init(pointer: error.pointer, expected: "expected \(error.expected)")])
        }
        let unknown =
            refusing
            ? queue.refuse(settlement.tokens, because: settlement.error ?? "the client refused it")
            : queue.acknowledge(settlement.tokens)
        return try .json(Settled(settled: settlement.tokens.count - unknown.count, unknown: unknown))
    }
}
