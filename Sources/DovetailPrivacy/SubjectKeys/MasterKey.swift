import Crypto
import DovetailContracts
import DovetailCore
import Foundation

/// What locks the keys of subjects where they are kept: who has the file of keys and not this one has nothing.
public struct MasterKey: Sendable, CustomStringConvertible, CustomReflectable {
    private let key: SymmetricKey
    /// Tells one master key from another, and nothing else of it.
    let mark: String

    /// The lock of keys that are kept as they are.
    static let none = "none"

    /// The master key that a secret of an operator's makes: at least 32 characters drawn at random, as `openssl rand -base64 32` prints them.
    public init(secret: String) {
        let input = SymmetricKey(data: Data(secret.utf8))
        key = HKDF<Crypto.SHA256>.deriveKey(
            inputKeyMaterial: input, salt: Data("dovetail.privacy".utf8), info: Data("master key 1".utf8),
            outputByteCount: 32)
        let code = HMAC<Crypto.SHA256>.authenticationCode(for: Data("mark".utf8), using: key)
        mark = "master-\(Data(code.prefix(12)).base64EncodedString())"
    }

    func lock(_ secret: [UInt8], _ key: SubjectKey) throws -> [UInt8] {
        let box = try AES.GCM.seal(secret, using: self.key, authenticating: MasterKey.header(key))
        return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
    }

    func unlock(_ key: SubjectKey) throws -> [UInt8] {
        Array(
            try AES.GCM.open(
                AES.GCM.SealedBox(combined: key.secret), using: self.key, authenticating: MasterKey.header(key)))
    }

    private static func header(_ key: SubjectKey) -> [UInt8] { Array("\(key.id) \(key.subject)".utf8) }

    public var description: String { "(master key)" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
