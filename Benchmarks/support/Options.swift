import DovetailCore
import DovetailEvents

/// What to run, from the command line: `CASE --folder PATH [--seconds N] [--events N] [--streams N] [--aggregates N] [--sagas N] [--durability disk|os]`.
package struct Options: Sendable {
    package private(set) var name = ""
    /// Where the store is made.
    package private(set) var folder = ""
    /// How long a rate is measured.
    package private(set) var seconds = 3.0
    /// How many events there are to consume, or to build a read model from.
    package private(set) var events = 200_000
    /// How many streams there are to append to.
    package private(set) var streams = 100_000
    /// How many aggregates there are before commands are given to old ones.
    package private(set) var aggregates = 1_000_000
    /// How many sagas are asked for before they are run.
    package private(set) var sagas = 50_000
    /// What the store promises.
    package private(set) var durability = Durability.disk

    init(_ arguments: [String]) throws(UsageError) {
        var rest = arguments.dropFirst()
        guard let name = rest.popFirst() else { throw UsageError("the case is missing") }
        self.name = name
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw UsageError("\(option) has no value") }
            switch option {
            case "--folder": folder = value
            case "--seconds": seconds = try Options.number(value, of: option)
            case "--events": events = try Options.number(value, of: option)
            case "--streams": streams = try Options.number(value, of: option)
            case "--aggregates": aggregates = try Options.number(value, of: option)
            case "--sagas": sagas = try Options.number(value, of: option)
            case "--durability":
                guard let durability = Durability(rawValue: value) else {
                    throw UsageError("--durability is disk or os, not \(value)")
                }
                self.durability = durability
            default: throw UsageError("there is no option \(option)")
            }
        }
        guard !folder.isEmpty else { throw UsageError("--folder is missing") }
    }

    private static func number<Number: LosslessStringConvertible & Comparable & ExpressibleByIntegerLiteral>(
        _ text: String, of option: String
    ) throws(UsageError) -> Number {
        guard let number = Number(text), number > 0 else {
            throw UsageError("\(option) is a number above zero, not \(text)")
        }
        return number
    }
}

/// A command line that cannot be understood, or a case that did not do what it measures.
package struct UsageError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    /// What a program says that has no case of this name.
    package static func unknownCase(_ name: String) -> UsageError { UsageError("there is no case \(name)") }
}
