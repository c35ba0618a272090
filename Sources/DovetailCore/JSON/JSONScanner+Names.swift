#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Names that repeat in an object: RFC 7493 forbids them, RFC 8259 leaves them open, here the last one wins.
extension JSONScanner {
    /// A cheap hash of a name: its length, its first four bytes and its last four.
    @inline(__always)
    static func hash(_ text: UnsafePointer<UInt8>, count: Int) -> UInt32 {
        var hash = UInt32(truncatingIfNeeded: count)
        if count >= 4 {
            let raw = UnsafeRawPointer(text)
            hash ^= raw.loadUnaligned(as: UInt32.self)
            hash ^= raw.loadUnaligned(fromByteOffset: count - 4, as: UInt32.self) &* 0x9E37_79B1
        } else {
            for index in 0..<count { hash = hash &* 31 &+ UInt32(text[index]) }
        }
        hash = hash &* 0x85EB_CA6B
        return hash ^ hash >> 15
    }

    /// Marks all but the last member of each name in `object`, which the filter of hashes suspects.
    ///
    /// Sorts by hash, then text, so that even an object made to collide costs n log n.
    @inline(never)
    func supersedeRepeats(in object: Int) {
        if hashesDiffer(in: object) { return }
        var names: [Int] = []
        var index = object + 1
        while index < tokens.count {
            names.append(index)
            index = Int(tokens.base[index + 1].next)
        }
        side.withUnsafeBufferPointer { side in
            func order(_ left: Int, _ right: Int) -> Int {
                let (left, right) = (tokens.base[left], tokens.base[right])
                if left.mark != right.mark { return left.mark < right.mark ? -1 : 1 }
                if left.length != right.length { return left.length < right.length ? -1 : 1 }
                guard let leftText = start(of: left, side), let rightText = start(of: right, side) else { return 0 }
                return Int(memcmp(leftText, rightText, left.length))
            }
            names.sort { left, right in
                let order = order(left, right)
                return order == 0 ? left < right : order < 0
            }
            for (name, following) in zip(names, names.dropFirst()) where order(name, following) == 0 {
                tokens.base[name].flags.insert(.superseded)
            }
        }
    }

    /// Whether the object is small and no two of its names have the same hash: the filter was wrong, as it often is.
    private func hashesDiffer(in object: Int) -> Bool {
        var seen = 0
        var later = object + 1
        while later < tokens.count {
            var earlier = object + 1
            while earlier < later {
                if tokens.base[earlier].mark == tokens.base[later].mark { return false }
                earlier = Int(tokens.base[earlier + 1].next)
            }
            seen += 1
            guard seen <= 16 else { return false }
            later = Int(tokens.base[later + 1].next)
        }
        return true
    }

    private func start(of token: JSONToken, _ side: UnsafeBufferPointer<UInt8>) -> UnsafePointer<UInt8>? {
        (token.flags.contains(.aside) ? side.baseAddress : text).map { $0 + Int(token.start) }
    }
}
