import Crypto
import Foundation
import Synchronization

/// The files that a gateway is configured by: `platform.yaml`, and those with certificates and keys that it names. They are told apart by what they hold;
/// their times say nothing.
final class WatchedFiles: Sendable {
    /// Digests of what they hold; nil of one that cannot be read.
    private struct Contents: Equatable {
        var file: [UInt8]?
        var keys: [String: [UInt8]?]
    }

    private let file: String
    private let keys: Mutex<Set<String>>

    init(file: String, keys: Set<String>) {
        self.file = file
        self.keys = Mutex(keys)
    }

    /// These are the files with certificates and keys from now on.
    func look(at keys: Set<String>) { self.keys.withLock { $0 = keys } }

    /// Looks at them until it is cancelled, and says in words what has changed.
    func watch(every interval: Duration, _ changed: (String) -> Void) async {
        var known = contents
        while (try? await Task.sleep(for: interval)) != nil {
            let now = contents
            // Editors and others write in several steps: what is there twice in a row is whole.
            guard now.file != nil, now != known, (try? await Task.sleep(for: .milliseconds(100))) != nil,
                contents == now
            else { continue }
            let isFile = now.file != known.file
            known = now
            changed(isFile ? "the file changed" : "a file with certificates or keys changed")
        }
    }

    private var contents: Contents {
        Contents(
            file: WatchedFiles.digest(file),
            keys: Dictionary(uniqueKeysWithValues: keys.withLock { $0 }.map { ($0, WatchedFiles.digest($0)) }))
    }

    private static func digest(_ path: String) -> [UInt8]? {
        (try? Data(contentsOf: URL(fileURLWithPath: path))).map { Array(SHA256.hash(data: $0)) }
    }
}

extension PlatformConfiguration {
    /// The files with certificates and keys that the gateway reads, with their paths from `folder`.
    func filesOfKeys(in folder: String) -> Set<String> {
        var files: [String?] = []
        for certificate in gateway?.tls?.certificates ?? [] { files += [certificate.chain, certificate.key] }
        files.append(gateway?.tls?.clientAuthorities)
        for upstream in upstreams.values {
            files += [upstream.tls?.authorities, upstream.tls?.certificate?.chain, upstream.tls?.certificate?.key]
        }
        for authenticator in gateway?.authentication.values.map({ $0 }) ?? [] {
            switch authenticator {
            case .jwt(let jwt):
                switch jwt.keys {
                case .jwksFile(let path), .publicKeyFile(let path): files.append(path)
                case .jwks, .jwksURL, .secret: break
                }
            case .forward(let forward): files.append(forward.authorities)
            case .apiKeys, .basic, .hmac, .clientCertificate: break
            }
        }
        return Set(files.compactMap { $0 }.map { resolve($0, in: folder) })
    }
}
