import DovetailCore
import Foundation

/// The codec beside Foundation's, and beside `Codable` alone: the same initializers run against a decoder that hands out
/// constants, and the same `encode(to:)` against an encoder that throws everything away.
///
///     JSONBench [rounds] [only, as decode/dovetail]
@main
struct JSONBench {
    static func main() throws {
        let order = OrderPlaced.sample
        let bytes = try JSON.encode(order)
        let data = Data(bytes)
        guard try JSON.decode(OrderPlaced.self, from: bytes) == order else {
            throw JSONError(pointer: "", expected: "the same order", found: "another")
        }
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601

        var bench = Bench(arguments: CommandLine.arguments)
        print("an order of \(bytes.count) bytes; medians of \(bench.rounds) rounds, ratios within each round")
        // Interleaved, so that a slow moment of the machine meets every subject.
        for _ in 0..<bench.rounds {
            try bench.time("decode/codable") { try OrderPlaced(from: ConstantDecoder()).lines.count }
            try bench.time("decode/dovetail") { try JSON.decode(OrderPlaced.self, from: bytes).lines.count }
            try bench.time("decode/foundation") { try decoder.decode(OrderPlaced.self, from: data).lines.count }
            try bench.time("encode/codable") {
                try order.encode(to: DiscardingEncoder())
                return 1
            }
            try bench.time("encode/dovetail") { try JSON.encode(order).count }
            try bench.time("encode/foundation") { try encoder.encode(order).count }
            bench.time("id/v7") { UniqueID.v7().low > 0 ? 1 : 0 }
            bench.time("id/derived") { UniqueID.derived(from: "orders", "product-7").low > 0 ? 1 : 0 }
        }
        bench.report()
    }
}

/// Nanoseconds a call, by case and round.
struct Bench {
    let rounds: Int
    private let only: String?
    private var cases: [(name: String, figures: [Double])] = []

    init(arguments: [String]) {
        rounds = arguments.dropFirst().first.flatMap { Int($0) } ?? 21
        only = arguments.dropFirst(2).first
    }

    mutating func time(_ name: String, _ body: () throws -> Int) rethrows {
        guard only == nil || only == name else { return }
        let calls = 10_000
        var sum = 0
        let start = ContinuousClock.now
        for _ in 0..<calls { sum &+= try body() }
        let taken = ContinuousClock.now - start
        precondition(sum > 0, "\(name) did nothing")
        let figure = taken.inSeconds * 1e9 / Double(calls)
        if let index = cases.firstIndex(where: { $0.name == name }) {
            cases[index].figures.append(figure)
        } else {
            cases.append((name, [figure]))
        }
    }

    func report() {
        for (name, figures) in cases {
            let group = name.prefix { $0 != "/" }
            var line = "\(name): \(Int(median(figures))) ns"
            if let floor = cases.first(where: { $0.name == group + "/codable" })?.figures {
                let ratio = median(zip(figures, floor).map { $0 / $1 })
                line += ", \((ratio * 100).rounded() / 100) times Codable without parsing"
            }
            print(line)
        }
    }

    private func median(_ figures: [Double]) -> Double { figures.sorted()[figures.count / 2] }
}
