#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Random words from the system, fetched 256 bytes at a time.
///
/// `SystemRandomNumberGenerator` makes a system call for each word on Linux, several times the cost of all else in an id.
struct EntropyPool {
    private var words: [UInt64] = []

    mutating func next() -> UInt64 {
        if let word = words.popLast() { return word }
        words = [UInt64](repeating: 0, count: 32)
        let isFilled = words.withUnsafeMutableBytes { bytes in
            #if canImport(Darwin)
                arc4random_buf(bytes.baseAddress, bytes.count)
                return true
            #else
                return bytes.baseAddress.map { getentropy($0, bytes.count) == 0 } ?? false
            #endif
        }
        // Where the call is not to be had, one word at a time still is.
        guard isFilled, let word = words.popLast() else {
            words = []
            return .random(in: .min ... .max)
        }
        return word
    }
}
