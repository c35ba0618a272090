#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Chooses a server for each request, of those that are available. A value without clock or sockets; each loop has its own.
struct Balancer {
    /// What is known of a server while a request is to be placed.
    struct Candidate {
        var isAvailable: Bool
        /// Requests in flight to it from this loop.
        var active: Int
        /// How much of its share it gets while it warms up, in thousandths (see ``SlowStart``).
        var warmth = SlowStart.whole
    }

    private let algorithm: Upstream.LoadBalancing
    private let weights: [Int]
    private let names: [UInt64]
    /// Smooth weighted round robin: what each server is owed.
    private var credits: [Int]
    /// How long answers took of late, in nanoseconds; nil before the first one.
    private var latencies: [PeakLatency]

    init(_ upstream: Upstream) {
        algorithm = upstream.loadBalancing
        weights = upstream.servers.map(\.weight)
        names = upstream.servers.map { Balancer.hash("\($0.host):\($0.port)".utf8) }
        credits = Array(repeating: 0, count: weights.count)
        latencies = Array(repeating: PeakLatency(), count: weights.count)
    }

    /// The server for a request whose key has this hash; nil if none is available.
    mutating func choose(
        _ candidates: [Candidate], key: UInt64, now: Int64, random: inout some RandomNumberGenerator
    ) -> Int? {
        guard candidates.allSatisfy({ $0.warmth == SlowStart.whole || !$0.isAvailable }) else {
            return chooseAmongWarming(candidates, key: key, now: now, random: &random)
        }
        return choose(of: candidates, key: key, now: now, random: &random)
    }

    /// Those that warm up are left out of as many choices as they lack of their whole share, whatever the algorithm.
    private mutating func chooseAmongWarming(
        _ candidates: [Candidate], key: UInt64, now: Int64, random: inout some RandomNumberGenerator
    ) -> Int? {
        var candidates = candidates
        // Where all are new none is spared.
        let warmest = candidates.reduce(1) { $1.isAvailable ? max($0, $1.warmth) : $0 }
        let draw: Int
        if case .consistentHash = algorithm {
            // A key stays where it is, and comes to a new server once.
            draw = Int(Balancer.mix(key ^ 0x9E37_79B9_7F4A_7C15) % UInt64(warmest))
        } else {
            draw = Int.random(in: 0..<warmest, using: &random)
        }
        for index in candidates.indices where candidates[index].warmth <= draw { candidates[index].isAvailable = false }
        return choose(of: candidates, key: key, now: now, random: &random)
    }

    private mutating func choose(
        of candidates: [Candidate], key: UInt64, now: Int64, random: inout some RandomNumberGenerator
    ) -> Int? {
        switch algorithm {
        case .roundRobin: inTurn(candidates)
        case .leastRequest:
            ofTwo(candidates, random: &random) { index in Double(candidates[index].active + 1) / Double(weights[index])
            }
        case .peakLatency:
            ofTwo(candidates, random: &random) { index in
                latencies[index].value(at: now) * Double(candidates[index].active + 1) / Double(weights[index])
            }
        case .consistentHash: byHash(candidates, key)
        }
    }

    /// An answer's head came from `server` after so many nanoseconds; or none came, which counts as the time given for it.
    mutating func observe(_ server: Int, nanoseconds: Int64, now: Int64) {
        guard algorithm == .peakLatency else { return }
        latencies[server].observe(Double(nanoseconds), at: now)
    }

    /// Each in turn, and as often as its weight says, evenly spread (as nginx does it).
    private mutating func inTurn(_ candidates: [Candidate]) -> Int? {
        var best: Int?
        var total = 0
        for index in candidates.indices where candidates[index].isAvailable {
            credits[index] += weights[index]
            total += weights[index]
            if let known = best, credits[index] <= credits[known] { continue }
            best = index
        }
        if let best { credits[best] -= total }
        return best
    }

    /// The cheaper of two drawn at random: nearly as even as the cheapest of all, and no herd runs after one (Mitzenmacher 2001).
    private func ofTwo(
        _ candidates: [Candidate], random: inout some RandomNumberGenerator, cost: (Int) -> Double
    ) -> Int? {
        let count = candidates.count { $0.isAvailable }
        guard count > 0 else { return nil }
        let first = place(Int.random(in: 0..<count, using: &random), in: candidates)
        guard count > 1 else { return first }
        var second = first
        while second == first { second = place(Int.random(in: 0..<count, using: &random), in: candidates) }
        return cost(second) < cost(first) ? second : first
    }

    private func place(_ number: Int, in candidates: [Candidate]) -> Int {
        var left = number
        for index in candidates.indices where candidates[index].isAvailable {
            if left == 0 { return index }
            left -= 1
        }
        return 0
    }

    /// The server whose name and the key together score highest (rendezvous hashing, Thaler and Ravishankar 1998): when a server goes, only its keys move.
    private func byHash(_ candidates: [Candidate], _ key: UInt64) -> Int? {
        var best: (index: Int, score: Double)?
        for index in candidates.indices where candidates[index].isAvailable {
            // A number between 0 and 1, even; its logarithm brings the weights in (Schindelhauer and Schomaker 2005).
            let even = (Double(Balancer.mix(key ^ names[index]) >> 11) + 0.5) / Double(UInt64(1) << 53)
            let score = -Double(weights[index]) / log(even)
            if let best, score <= best.score { continue }
            best = (index, score)
        }
        return best?.index
    }

    /// FNV-1a, stirred at the end.
    static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return mix(hash)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// A moving average of latencies that rises at once and sinks slowly, so that a server that turns slow is avoided from its first slow answer on
/// (the peak EWMA of Finagle).
struct PeakLatency {
    /// How long it takes to forget most of a peak, in nanoseconds.
    private static let decay = 10e9
    private var average = 0.0
    private var observedAt: Int64 = 0

    mutating func observe(_ nanoseconds: Double, at now: Int64) {
        let known = value(at: now)
        average = average == 0 || nanoseconds > known ? nanoseconds : known + (nanoseconds - known) * 0.3
        observedAt = now
    }

    /// What is expected at `now`: who has not been asked for long is given another chance.
    func value(at now: Int64) -> Double {
        guard average > 0 else { return 1 }
        let age = Double(max(0, now - observedAt))
        return max(1, average * exp(-age / PeakLatency.decay))
    }
}
