import AsyncHTTPClient
import DovetailCore
import Foundation
import NIOCore

/// Gets small texts from elsewhere, such as an identity provider's keys.
public enum TextFetch {
    /// A text that could not be had.
    public struct Failure: Error, CustomStringConvertible {
        /// What happened, with the URL.
        public let description: String
    }

    /// The text at `url`: up to 1 MiB, within ten seconds, redirects followed. Throws ``Failure`` for any status but 200.
    public static func text(at url: String) async throws -> String {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "accept", value: "application/json, */*")
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
        guard response.status == .ok else {
            throw Failure(description: "\(url) answers \(response.status.code)")
        }
        return String(buffer: try await response.body.collect(upTo: 1 << 20))
    }
}
