import DovetailCore
import DovetailEvents

/// What to run, from the command line: `cqrs-bench CASE --folder PATH [--seconds N] [--events N] [--aggregates N] [--durability disk|os]`.
struct Options: Sendable {
    var name = ""
    /// Where the store is made.
    var folder = ""
    /// How long a rate is measured.
    var seconds = 3.0
    /// How many events a read model is built from.
    var events = 400_000
    /// How many aggregates there are before commands are given to old ones.
    var aggregates = 1_000_000
    /// What the store promises.
    var durability = Durability.disk

    init(_ arguments: [String]) throws(UsageError) {
        var rest = arguments.dropFirst()
        guard let name = rest.popFirst() else { throw UsageError(reason: "the case is missing") }
        self.name = name
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw UsageError(reason: "\(option) has no value") }
            switch option {
            case "--folder": folder = value
            case "--seconds": seconds = try Options.number(value, of: option)
            case "--events": events = try Options.number(value, of: option)
            case "--aggregates": aggregates = try Options.number(value, of: option)
            case "--durability":
                guard let durability = Durability(rawValue: value) else {
                    throw UsageError(reason: "--durability is disk or os, not \(value)")
                }
                self.durability = durability
            default: throw UsageError(reason: "there is no option \(option)")
            }
        }
        guard !folder.isEmpty else { throw UsageError(reason: "--folder is missing") }
    }

    private static func number<Number: LosslessStringConvertible & Comparable & ExpressibleByIntegerLiteral>(
        _ text: String, of option: String
    ) throws(UsageError) -> Number {
        guard let number = Number(text), number > 0 else {
            throw UsageError(reason: "\(option) is a number above zero, not \(text)")
        }
        return number
    }
}

/// A command line that cannot be understood, or a case that did not do what it measures.
struct UsageError: Error, CustomStringConvertible {
    let reason: String
    var description: String { "cqrs-bench: \(reason)" }
}
