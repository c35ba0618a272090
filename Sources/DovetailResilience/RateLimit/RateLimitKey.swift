/// Names the caller that a ``RateLimiter`` counts for: an address, an API key, a principal.
///
/// A 64-bit hash under a seed that is drawn when the process starts, so that nobody outside can choose two names that
/// collide. Two of a million live keys share a limit by accident with a probability of 3 in 10⁸. Equal bytes make equal
/// keys, whichever initialiser they went through. It means nothing in another process.
public struct RateLimitKey: Hashable, Sendable {
    let hash: UInt64

    /// A key made of a text's UTF-8 bytes.
    public init(_ text: some StringProtocol) {
        if let hash = text.utf8.withContiguousStorageIfAvailable({ RateLimitKey.hash(UnsafeRawBufferPointer($0)) }) {
            self.hash = hash
        } else {
            self.hash = Array(text.utf8).withUnsafeBytes(RateLimitKey.hash)
        }
    }

    /// A key made of these bytes, which are not kept.
    public init(bytes: UnsafeRawBufferPointer) {
        hash = RateLimitKey.hash(bytes)
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
