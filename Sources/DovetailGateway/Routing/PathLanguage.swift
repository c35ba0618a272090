/// Which paths there are for a pattern, as a machine: for what two patterns have in common, whatever they are written as.
package struct PathLanguage: Sendable {
    /// The most combinations of places that are looked at.
    private static let mostStates = 100_000

    private let program: [PathExpression.Instruction]
    /// What all of them begin with, as far as it is plain to see.
    private let literal: [UInt8]

    /// The paths that `pattern` takes.
    package init(_ pattern: PathPattern) {
        if let expression = pattern.expression {
            program = expression.program
        } else {
            program = PathLanguage.program(pattern.description)
        }
        literal = PathLanguage.literal(program)
    }

    /// Paths as a template writes them: `{…}` stands for a segment, or where `capturesSlashes` for several, and a last `**` for all below.
    package init(template: String, capturesSlashes: Bool = false) {
        program = PathLanguage.program(template, capturesSlashes: capturesSlashes)
        literal = PathLanguage.literal(program)
    }

    private static func literal(_ program: [PathExpression.Instruction]) -> [UInt8] {
        var literal: [UInt8] = []
        for instruction in program {
            switch instruction {
            case .save: continue
            case .byte(let set):
                guard let byte = set.only else { return literal }
                literal.append(byte)
            case .jump, .either, .match: return literal
            }
        }
        return literal
    }

    private static func program(_ text: String, capturesSlashes: Bool = false) -> [PathExpression.Instruction] {
        var program: [PathExpression.Instruction] = []
        func set(_ isIn: (UInt8) -> Bool) -> ByteSet {
            var set = ByteSet()
            for byte in UInt8.min...UInt8.max where isIn(byte) { set.insert(byte) }
            return set
        }
        func byte(_ byte: UInt8) { program.append(.byte(set { $0 == byte })) }
        for segment in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if segment == "**" {
                // Nothing, or a slash and anything.
                let start = program.count
                program.append(.either(start + 1, start + 5))
                byte(0x2F)
                program.append(.either(start + 3, start + 5))
                program.append(.byte(set { _ in true }))
                program.append(.jump(start + 2))
            } else if segment.contains("{") {
                byte(0x2F)
                let start = program.count
                program.append(.byte(set { capturesSlashes || $0 != 0x2F }))
                program.append(.either(start, start + 2))
            } else {
                byte(0x2F)
                for character in segment.utf8 { byte(character) }
            }
        }
        return program + [.match]
    }

    /// Paths in the form that is routed: segments that are not empty, and perhaps a slash at the end.
    private static let canonical: [PathExpression.Instruction] = {
        var (plain, slash) = (ByteSet(), ByteSet())
        slash.insert(0x2F)
        for byte in UInt8.min...UInt8.max where ByteClass.path.contains(byte) && byte != 0x2F && byte != 0x2E {
            plain.insert(byte)
        }
        return [.byte(slash), .either(2, 5), .byte(plain), .either(2, 4), .either(0, 5), .match]
    }()

    /// A short path that is of both, without dots and escapes; nil if there is none, or none was found in reasonable time.
    package func example(sharedWith other: PathLanguage) -> String? {
        // Most have nothing in common, and are many.
        guard zip(literal, other.literal).allSatisfy({ $0 == $1 }) else { return nil }
        let programs = [program, other.program, PathLanguage.canonical]
        var known: [[Int]: (from: [Int], byte: UInt8)?] = [:]
        var queue: [[Int]] = []
        for state in PathLanguage.combinations(programs.map { PathLanguage.ways(0, in: $0) }) {
            known[state] = .some(nil)
            queue.append(state)
        }
        var next = 0
        while next < queue.count, queue.count < PathLanguage.mostStates {
            let state = queue[next]
            next += 1
            var sets: [ByteSet] = []
            var ends = 0
            for (program, place) in zip(programs, state) {
                switch program[place] {
                case .byte(let set): sets.append(set)
                default: ends += 1
                }
            }
            if ends == programs.count { return PathLanguage.path(to: state, known) }
            guard ends == 0, let byte = PathLanguage.byte(in: sets) else { continue }
            let followers = zip(programs, state).map { PathLanguage.ways($1 + 1, in: $0) }
            for follower in PathLanguage.combinations(followers) where known[follower] == nil {
                known[follower] = .some((state, byte))
                queue.append(follower)
            }
        }
        return nil
    }

    private static func path(to end: [Int], _ known: [[Int]: (from: [Int], byte: UInt8)?]) -> String {
        var (bytes, state): ([UInt8], [Int]) = ([], end)
        while let step = known[state] ?? nil {
            bytes.append(step.byte)
            state = step.from
        }
        return String(decoding: bytes.reversed(), as: UTF8.self)
    }

    /// A byte of all sets: a letter or a digit if there is one.
    private static func byte(in sets: [ByteSet]) -> UInt8? {
        let all = Array(0x61...0x7A) + Array(0x30...0x39) + Array(0x41...0x5A) + Array(0x21...0x7E).map(UInt8.init)
        return all.first { byte in sets.allSatisfy { $0.contains(byte) } }
    }

    /// The places with a byte to take, or the end, that are reached from `start` without one.
    private static func ways(_ start: Int, in program: [PathExpression.Instruction]) -> [Int] {
        var (found, seen, open): ([Int], Set<Int>, [Int]) = ([], [], [start])
        while let place = open.popLast() {
            guard seen.insert(place).inserted else { continue }
            switch program[place] {
            case .byte, .match: found.append(place)
            case .jump(let target): open.append(target)
            case .either(let one, let other): open += [other, one]
            case .save: open.append(place + 1)
            }
        }
        return found
    }

    private static func combinations(_ parts: [[Int]]) -> [[Int]] {
        parts.reduce([[]]) { all, part in all.flatMap { head in part.map { head + [$0] } } }
    }
}
