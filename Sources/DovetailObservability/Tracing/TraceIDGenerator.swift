import Synchronization

/// Makes ids of traces and spans without a system call each: a counter from a random start, mixed (SplitMix64).
///
/// The mix is a bijection, so that no id of a process comes twice; the two random starts keep processes apart.
final class TraceIDGenerator: Sendable {
    private static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

    private let counter = Atomic<UInt64>(UInt64.random(in: .min ... .max))
    private let salt = UInt64.random(in: .min ... .max)

    func traceID() -> TraceID {
        let low = next()
        // `low` is one id in 2^64 zero; `high` is then another.
        return TraceID(high: TraceIDGenerator.mix(low ^ salt), low: low) ?? traceID()
    }

    func spanID() -> SpanID { SpanID(next()) ?? spanID() }

    private func next() -> UInt64 {
        TraceIDGenerator.mix(counter.wrappingAdd(TraceIDGenerator.step, ordering: .relaxed).newValue)
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
