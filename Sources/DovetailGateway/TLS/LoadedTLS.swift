import Crypto
import Foundation
import NIOSSL

/// An upstream's TLS settings with the contents of the files that they name: what connections are made with.
final class LoadedTLS: Sendable {
    let context: NIOSSLContext
    /// Of the contents: no key is kept beside the context's.
    private let digest: [UInt8]

    /// Reads the files. Throws ``GatewayConfigurationError`` if one cannot be read, or the key is not the certificate's.
    init(_ settings: UpstreamTLS, upstream: String, for transport: Upstream.Transport) throws(GatewayConfigurationError)
    {
        do {
            var hash = SHA256()
            func read(_ path: String) throws -> [UInt8] {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
                hash.update(data: SHA256.hash(data: bytes).withUnsafeBytes { Data($0) })
                return Array(bytes)
            }
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = [transport == .http2 ? "h2" : "http/1.1"]
            if let authorities = settings.authorities {
                let certificates = try NIOSSLCertificate.fromPEMBytes(try read(authorities))
                guard !certificates.isEmpty else {
                    throw GatewayConfigurationError("the file '\(authorities)' holds no authority's certificate")
                }
                configuration.trustRoots = .certificates(certificates)
            }
            if let certificate = settings.certificate {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMBytes(try read(certificate.chain)).map {
                    .certificate($0)
                }
                configuration.privateKey = .privateKey(
                    try NIOSSLPrivateKey(bytes: try read(certificate.key), format: .pem))
            }
            context = try NIOSSLContext(configuration: configuration)
            digest = Array(hash.finalize())
        } catch {
            let files = [settings.authorities, settings.certificate?.chain, settings.certificate?.key].compactMap { $0 }
            throw GatewayConfigurationError(
                "upstream '\(upstream)': its TLS settings, with the files \(files), cannot be used: \(error)")
        }
    }

    /// Whether the files held the same.
    func isSame(as other: LoadedTLS) -> Bool { digest == other.digest }
}

extension UpstreamTLS {
    /// What was read, or what is read now.
    func context(upstream: String, for transport: Upstream.Transport) throws(GatewayConfigurationError) -> NIOSSLContext
    {
        if let loaded { return loaded.context }
        return try LoadedTLS(self, upstream: upstream, for: transport).context
    }
}

extension Upstream {
    /// Whether the files of its TLS settings held the same when they were read.
    func hasSameFiles(as other: Upstream) -> Bool {
        guard let one = tls?.loaded, let two = other.tls?.loaded else {
            return tls?.loaded == nil && other.tls?.loaded == nil
        }
        return one.isSame(as: two)
    }
}

extension GatewayConfiguration {
    /// The configuration with the contents of the files that TLS to upstreams is spoken with, read once for all event loops.
    func loadingTLS() throws(GatewayConfigurationError) -> GatewayConfiguration {
        var configuration = self
        for index in upstreams.indices {
            let upstream = upstreams[index]
            guard let tls = upstream.tls else { continue }
            configuration.upstreams[index].tls?.loaded = try LoadedTLS(
                tls, upstream: upstream.name, for: upstream.protocol)
        }
        for (name, authenticator) in authenticators {
            guard case .forward(var forward) = authenticator, let tls = forward.tls else { continue }
            forward.tls?.loaded = try LoadedTLS(tls, upstream: ForwardAuthentication.upstreamName(name), for: .http1)
            configuration.authenticators[name] = .forward(forward)
        }
        return configuration
    }
}
