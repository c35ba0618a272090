/// Finds what a misspelt word was meant to be.
enum Spelling {
    /// The word nearest to `word`, if one is near enough to be meant.
    static func nearest(to word: String, among words: [String]) -> String? {
        // Beyond this length nobody means a key, and the cost is quadratic.
        guard word.count <= 64 else { return nil }
        let scored = words.map { (word: $0, distance: distance(Array(word.lowercased()), Array($0.lowercased()))) }
        guard let best = scored.min(by: { $0.distance < $1.distance }), best.distance <= max(1, word.count / 3) else {
            return nil
        }
        return best.word
    }

    /// The number of letters to insert, drop, change or swap (optimal string alignment).
    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in left.indices {
            var current = [row + 1]
            for column in right.indices {
                let change = last[column] + (left[row] == right[column] ? 0 : 1)
                var best = min(change, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
