import Crypto

/// The digest of a body that a request says, against the body as it comes (RFC 9530 2).
struct ContentDigest {
    private let sha256: [UInt8]?
    private let sha512: [UInt8]?
    private var hash256 = Crypto.SHA256()
    private var hash512 = Crypto.SHA512()

    /// Reads `Content-Digest`; nil if it says neither of the digests that are not deprecated.
    init?(_ field: String) {
        sha256 = SignatureInput.bytes(of: "sha-256", in: field)
        sha512 = SignatureInput.bytes(of: "sha-512", in: field)
        guard sha256 != nil || sha512 != nil else { return nil }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        if sha256 != nil { hash256.update(bufferPointer: bytes) }
        if sha512 != nil { hash512.update(bufferPointer: bytes) }
    }

    /// Whether the body was what the field says.
    func holds() -> Bool {
        (sha256.map { hash256.finalize() == $0 } ?? true) && (sha512.map { hash512.finalize() == $0 } ?? true)
    }
}
