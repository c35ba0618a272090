import Foundation
import NIOCore
import NIOSSL
import Synchronization
import X509

/// The certificates of a listener by the names they carry; replaced as a whole while connections are made.
final class CertificateTable: Sendable {
    private struct Entry: Sendable {
        let names: [String]
        let override: NIOSSLContextConfigurationOverride
    }

    private struct Loaded {
        var settings: ListenerTLS
        var entries: [Entry]
    }

    private let loaded: Mutex<Loaded>
    private let present = Mutex<NIOSSLContext?>(nil)

    /// Reads the files. Throws ``GatewayConfigurationError`` if one cannot be read, or a key is not its certificate's.
    init(_ settings: ListenerTLS) throws(GatewayConfigurationError) {
        loaded = Mutex(Loaded(settings: settings, entries: try CertificateTable.read(settings)))
        let context = try makeContext(settings)
        present.withLock { $0 = context }
    }

    /// What connections are made with that begin now.
    var context: NIOSSLContext? { present.withLock { $0 } }

    /// Reads the files anew; on an error the certificates stay as they are.
    func reload(_ settings: ListenerTLS) throws(GatewayConfigurationError) {
        let entries = try CertificateTable.read(settings)
        // The authorities of client certificates are the context's.
        let context = try makeContext(settings)
        loaded.withLock { $0 = Loaded(settings: settings, entries: entries) }
        present.withLock { $0 = context }
    }

    /// The certificate for a client that asks for `name`: one that names it, one with a wildcard for it (RFC 9525 6.3), or the first.
    private func entry(for name: String?) -> Entry? {
        let entries = loaded.withLock { $0.entries }
        guard let name = name?.lowercased() else { return entries.first }
        if let exact = entries.first(where: { $0.names.contains(name) }) { return exact }
        let parent = name.split(separator: ".", maxSplits: 1).dropFirst().first.map { "*.\($0)" }
        return entries.first { entry in parent.map { entry.names.contains($0) } ?? false } ?? entries.first
    }

    /// A context that asks this table at each handshake.
    private func makeContext(_ settings: ListenerTLS) throws(GatewayConfigurationError) -> NIOSSLContext {
        do {
            let first = settings.certificates[0]
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(first.chain).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: first.key, format: .pem)))
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["h2", "http/1.1"]
            if let authorities = settings.clientAuthorities {
                configuration.certificateVerification =
                    settings.isClientCertificateOptional ? .optionalVerification : .noHostnameVerification
                configuration.trustRoots = .file(authorities)
            }
            configuration.sslContextCallback = { [weak self] client, promise in
                promise.succeed(self?.entry(for: client.serverHostname)?.override ?? .noChanges)
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw GatewayConfigurationError("tls: \(error)")
        }
    }

    private static func read(_ settings: ListenerTLS) throws(GatewayConfigurationError) -> [Entry] {
        guard !settings.certificates.isEmpty else {
            throw GatewayConfigurationError("tls needs a certificate at least")
        }
        var entries: [Entry] = []
        for files in settings.certificates {
            do {
                let chain = try NIOSSLCertificate.fromPEMFile(files.chain)
                let key = try NIOSSLPrivateKey(file: files.key, format: .pem)
                guard let first = chain.first else {
                    throw GatewayConfigurationError("tls: the file '\(files.chain)' holds no certificate")
                }
                // A pair that does not fit is found here, not at a handshake.
                _ = try NIOSSLContext(
                    configuration: .makeServerConfiguration(
                        certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
                var override = NIOSSLContextConfigurationOverride()
                override.certificateChain = chain.map { .certificate($0) }
                override.privateKey = .privateKey(key)
                let names = try Certificate(derEncoded: first.toDERBytes()).dnsNames
                entries.append(Entry(names: names, override: override))
            } catch let error as GatewayConfigurationError {
                throw error
            } catch {
                throw GatewayConfigurationError(
                    "tls: the certificate '\(files.chain)' with the key '\(files.key)' cannot be used: \(error)")
            }
        }
        if let authorities = settings.clientAuthorities,
            (try? NIOSSLCertificate.fromPEMFile(authorities))?.isEmpty ?? true
        {
            throw GatewayConfigurationError("tls: the file '\(authorities)' holds no authority's certificate")
        }
        return entries
    }
}

extension Certificate {
    /// The host names that it is for (RFC 5280 4.2.1.6), in lower case.
    fileprivate var dnsNames: [String] {
        let alternatives = try? extensions.subjectAlternativeNames
        return alternatives?.compactMap { name in
            if case .dnsName(let text) = name { text.lowercased() } else { nil }
        } ?? []
    }
}
