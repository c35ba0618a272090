import Dovetail
import Foundation

/// Customers who order: each one order after the other, and the same again under the same key if no answer comes.
struct Traffic: Sendable {
    let gateway: Gate
    let tokens: [String: String]
    let orders: Int
    let customers: Int

    /// What came of it.
    struct Result: Sendable {
        /// The ids of the accepted orders.
        var accepted: [String] = []
        /// How long each accepted order took to be accepted.
        var latencies: [Duration] = []
        /// Answers that were neither success nor to be retried, by status.
        var refused: [Int: Int] = [:]
        /// Requests that were sent again.
        var resent = 0
    }

    private struct Line: Encodable { var productID: String, quantity: Int }
    private struct Place: Encodable { var lines: [Line] }
    private struct Receipt: Decodable { var id: String }

    func run() async throws -> Result {
        let run = UniqueID.v7().description
        let users = tokens.keys.sorted()
        return try await withThrowingTaskGroup(of: Result.self) { group in
            for customer in 0..<customers {
                group.addTask {
                    var result = Result()
                    for number in stride(from: customer, to: orders, by: customers) {
                        let user = users[number % users.count]
                        try await order(number, user: user, key: "\(run)-\(number)", into: &result)
                    }
                    return result
                }
            }
            var total = Result()
            var done = 0
            for try await part in group {
                total.accepted += part.accepted
                total.latencies += part.latencies
                total.refused.merge(part.refused, uniquingKeysWith: +)
                total.resent += part.resent
                done += 1
            }
            return total
        }
    }

    private func order(_ number: Int, user: String, key: String, into result: inout Result) async throws {
        let products = ["bellows", "chisel", "dowel", "easel"]
        var lines = [Line(productID: products[number % products.count], quantity: 1 + number % 3)]
        // Some want an anvil, and there are not enough of them.
        if number % 5 == 0 { lines.append(Line(productID: "anvil", quantity: 2)) }
        let body = try JSON.encode(Place(lines: lines))
        let start = ContinuousClock.now
        for attempt in 0..<60 {
            let response: RawResponse
            do {
                response = try await gateway.send(.post, "/api/orders", token: tokens[user], key: key, body: body)
            } catch is CallError {
                result.resent += 1
                try await Task.sleep(for: .milliseconds(50 + 20 * attempt))
                continue
            }
            guard case .bytes(let bytes) = response.body else { throw DemoError("an order was answered with a stream") }
            switch response.status.code {
            case 200:
                result.accepted.append(try JSON.decode(Receipt.self, from: bytes).id)
                result.latencies.append(start.duration(to: .now))
                return
            case 429, 502, 503, 504:
                result.resent += 1
                try await Task.sleep(for: .milliseconds(50 + 20 * attempt))
            default:
                result.refused[Int(response.status.code), default: 0] += 1
                return
            }
        }
        throw DemoError("an order was not answered in sixty attempts")
    }
}
