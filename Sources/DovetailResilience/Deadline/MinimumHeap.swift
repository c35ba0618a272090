/// Numbers, of which the smallest is at hand.
struct MinimumHeap: Sendable {
    private var numbers: [Int64] = []

    var first: Int64? { numbers.first }

    mutating func insert(_ number: Int64) {
        numbers.append(number)
        var child = numbers.count - 1
        while child > 0, numbers[child] < numbers[(child - 1) / 2] {
            numbers.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeFirst() {
        guard let last = numbers.popLast(), !numbers.isEmpty else { return }
        numbers[0] = last
        var parent = 0
        while true {
            var least = parent
            let left = 2 * parent + 1
            let right = left + 1
            if left < numbers.count, numbers[left] < numbers[least] { least = left }
            if right < numbers.count, numbers[right] < numbers[least] { least = right }
            if least == parent { return }
            numbers.swapAt(parent, least)
            parent = least
        }
    }
}
