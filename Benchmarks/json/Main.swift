import DovetailCore
import Foundation

/// The codec beside Foundation's, and beside `Codable` alone: the same initializers run against a decoder that hands out
/// constants, and the same `encode(to:)` against an encoder that throws everything away.
@main
struct JSONBench {
    static func main() throws {
        let order = OrderPlaced.sample
        let bytes = try JSON.encode(order)
        let data = Data(bytes)
        print("document: \(bytes.count) bytes")
        guard try JSON.decode(OrderPlaced.self, from: bytes) == order else {
            throw JSONError(pointer: "", expected: "the same order", found: "another")
        }

        let reading = JSONDecoder()
        reading.dateDecodingStrategy = .iso8601
        let writing = JSONEncoder()
        writing.dateEncodingStrategy = .iso8601
        let rounds = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9
        let only = CommandLine.arguments.dropFirst(2).first
        var decoding: [String: [Double]] = [:]
        var encoding: [String: [Double]] = [:]
        // Interleaved, so that a slow moment of the machine meets every subject.
        for _ in 0..<rounds {
            func run(_ name: String, _ body: () throws -> Int, into table: inout [String: [Double]]) rethrows {
                guard only == nil || only == name else { return }
                table[name, default: []].append(try time(body))
            }
            try run("codable", { try OrderPlaced(from: ConstantDecoder()).lines.count }, into: &decoding)
            try run("dovetail", { try JSON.decode(OrderPlaced.self, from: bytes).lines.count }, into: &decoding)
            try run("foundation", { try reading.decode(OrderPlaced.self, from: data).lines.count }, into: &decoding)
            try run(
                "codable",
                {
                    try order.encode(to: DiscardingEncoder()); return 1
                }, into: &encoding)
            try run("dovetail", { try JSON.encode(order).count }, into: &encoding)
            try run("foundation", { try writing.encode(order).count }, into: &encoding)
        }
        report("decode", decoding)
        report("encode", encoding)
        print("UniqueID.v7: \(Int(time { UniqueID.v7().low > 0 ? 1 : 0 })) ns")
        print("UniqueID.derived: \(Int(time { UniqueID.derived(from: "orders", "product-7").low > 0 ? 1 : 0 })) ns")
    }

    /// Nanoseconds a call.
    private static func time(_ body: () throws -> Int) rethrows -> Double {
        let calls = 20_000
        var sum = 0
        let start = ContinuousClock.now
        for _ in 0..<calls { sum &+= try body() }
        let taken = ContinuousClock.now - start
        precondition(sum > 0)
        return Double(taken.components.attoseconds) / 1e9 / Double(calls)
            + Double(taken.components.seconds) * 1e9 / Double(calls)
    }

    private static func report(_ name: String, _ figures: [String: [Double]]) {
        func median(_ subject: String) -> Double { figures[subject].map { $0.sorted()[$0.count / 2] } ?? .nan }
        for subject in ["codable", "dovetail", "foundation"] {
            let ratio = (median(subject) / median("codable") * 100).rounded() / 100
            print("\(name) \(subject): \(Int(median(subject).isNaN ? 0 : median(subject))) ns, \(ratio) times codable")
        }
    }
}

struct OrderPlaced: Codable, Equatable {
    struct Line: Codable, Equatable {
        var productID: String
        var quantity: Int
    }

    var id: String
    var userID: String
    var lines: [Line]
    var totalCents: Int
    var note: String?
    var placedAt: Date

    static let sample = OrderPlaced(
        id: "0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60", userID: "user-4711",
        lines: [
            Line(productID: "product-7", quantity: 2), Line(productID: "product-12", quantity: 1),
            Line(productID: "product-3", quantity: 5),
        ], totalCents: 129_900, note: nil, placedAt: Date(timeIntervalSinceReferenceDate: 800_000_000))
}
