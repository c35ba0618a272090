extension PathExpression {
    /// Whether it takes a path, and what it captures then: all ways are gone at once, a byte at a time (Thompson 1968, and Pike's captures), so that the
    /// time is at most the path's length times the program's.
    ///
    /// A capture that took no part is empty where the path begins. A capture that is or has a segment of dots is none that could be written into a path,
    /// and the path is not taken.
    func match(_ bytes: UnsafeRawBufferPointer, path: ByteRange) -> [ByteRange]? {
        guard path.count <= PathExpression.longestPath, path.count >= literal.count else { return nil }
        let start = Int(path.start)
        for index in literal.indices where bytes[start + index] != literal[index] { return nil }
        var run = Run(program: program, slots: captures.count * 2)
        run.enter(at: start)
        for position in start..<Int(path.end) {
            run.take(bytes[position], at: position)
            if run.isOver { return nil }
        }
        guard let places = run.places else { return nil }
        let ranges = captures.indices.map { index -> ByteRange in
            let (first, last) = (places[2 * index], places[2 * index + 1])
            return first < 0 || last < first ? ByteRange(start, start) : ByteRange(Int(first), Int(last))
        }
        return ranges.contains { PathExpression.hasDots(bytes[$0]) } ? nil : ranges
    }

    private static func hasDots(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.split(separator: 0x2F).contains { segment in segment.count <= 2 && segment.allSatisfy { $0 == 0x2E } }
    }

    /// One match under way.
    private struct Run {
        private let program: [Instruction]
        /// Where the ways stand that wait for a byte, those to be preferred first, with the places each has noted.
        private var ways: [(step: Int, places: [Int32])] = []
        private var next: [(step: Int, places: [Int32])] = []
        /// At which turn a step was last come by: a second way to it is no better than the first.
        private var seen: [Int]
        private var turn = 0
        private let slots: Int

        init(program: [Instruction], slots: Int) {
            self.program = program
            self.slots = slots
            seen = Array(repeating: 0, count: program.count)
        }

        var isOver: Bool { ways.isEmpty }

        /// The places of the way that has come to the end, of those the one to be preferred.
        var places: [Int32]? { ways.first { program[$0.step] == .match }?.places }

        mutating func enter(at position: Int) {
            turn = 1
            var places = Array(repeating: Int32(-1), count: slots)
            follow(0, position, &places)
            swap(&ways, &next)
        }

        mutating func take(_ byte: UInt8, at position: Int) {
            turn += 1
            next.removeAll(keepingCapacity: true)
            for index in ways.indices {
                guard case .byte(let set) = program[ways[index].step], set.contains(byte) else { continue }
                var places = ways[index].places
                follow(ways[index].step + 1, position + 1, &places)
            }
            swap(&ways, &next)
        }

        /// Goes on from a step to all that take a byte; no deeper than the program is long, since no step is come by twice.
        private mutating func follow(_ step: Int, _ position: Int, _ places: inout [Int32]) {
            guard seen[step] != turn else { return }
            seen[step] = turn
            switch program[step] {
            case .byte, .match: next.append((step, places))
            case .jump(let target): follow(target, position, &places)
            case .either(let first, let second):
                follow(first, position, &places)
                follow(second, position, &places)
            case .save(let slot):
                let before = places[slot]
                places[slot] = Int32(truncatingIfNeeded: position)
                follow(step + 1, position, &places)
                places[slot] = before
            }
        }
    }
}
