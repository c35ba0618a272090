import Crypto
import Foundation
import X509

/// An authority made for a test, and the certificates it gives out, as PEM files in a folder that is removed in the end.
final class TestCertificates: Sendable {
    let folder: String
    private let key = P256.Signing.PrivateKey()
    private let name: DistinguishedName

    var authority: String { folder + "/authority.pem" }

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/dovetail-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        name = try DistinguishedName { CommonName("Test Authority") }
        let own = try certificate(subject: name, for: key.publicKey) {
            Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
        }
        try own.serializeAsPEM().pemString.write(toFile: authority, atomically: true, encoding: .utf8)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Gives out a certificate for these names.
    func issue(_ file: String, for names: [String]) throws -> (chain: String, key: String) {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName(names.first ?? "client") }
        let issued = try certificate(subject: subject, for: key.publicKey) {
            SubjectAlternativeNames(names.map { .dnsName($0) })
        }
        let (chain, keyFile) = ("\(folder)/\(file).pem", "\(folder)/\(file).key")
        try issued.serializeAsPEM().pemString.write(toFile: chain, atomically: true, encoding: .utf8)
        try key.pemRepresentation.write(toFile: keyFile, atomically: true, encoding: .utf8)
        return (chain, keyFile)
    }

    private func certificate(
        subject: DistinguishedName, for publicKey: P256.Signing.PublicKey,
        @ExtensionsBuilder extensions: () -> Result<Certificate.Extensions, any Error>
    ) throws -> Certificate {
        try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: .init(publicKey),
            notValidBefore: Date().addingTimeInterval(-3600), notValidAfter: Date().addingTimeInterval(86_400),
            issuer: name, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try extensions().get(), issuerPrivateKey: .init(key))
    }
}

/// Runs `curl`, and returns what it printed.
func curl(_ arguments: [String]) async throws -> (output: String, status: Int32) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["curl", "--silent", "--show-error", "--max-time", "20"] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    let output = Task.detached { try pipe.fileHandleForReading.readToEnd() ?? Data() }
    try process.run()
    let text = String(decoding: try await output.value, as: UTF8.self)
    await Task.detached { process.waitUntilExit() }.value
    return (text, process.terminationStatus)
}
