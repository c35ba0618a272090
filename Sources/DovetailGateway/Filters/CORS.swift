import HTTPTypes
import NIOCore

/// A cross-origin policy with its answers made in advance.
final class CompiledCORS {
    /// An origin that the policy lets in.
    enum Grant {
        /// Any; said with `*`.
        case any
        /// This one.
        case origin([UInt8])
    }

    private let methods: MethodSet
    /// Methods that are not known otherwise.
    private let otherMethods: Set<String>
    /// What a granted preflight says besides the origin.
    let preflightFields: [(String, String)]
    /// What other answers to a granted origin say besides it.
    let answerFields: [UInt8]
    let allowsAnyOrigin: Bool
    private let origins: Set<[UInt8]>

    /// A policy for a route that takes `methods`, and that asks for the fields `headers`: pages may send those, too.
    init(_ policy: CORSPolicy, methods routeMethods: Set<HTTPRequest.Method>, headers routeHeaders: [String] = []) {
        let allowed = policy.allowMethods.isEmpty ? routeMethods : policy.allowMethods
        let isOfRoute = policy.allowMethods.isEmpty
        methods = isOfRoute ? MethodSet(routeMethods) : MethodSet(exactly: allowed)
        otherMethods = MethodSet.others(allowed)
        allowsAnyOrigin = policy.allowOrigins.contains("*")
        origins = Set(policy.allowOrigins.map { Array($0.utf8) })
        var preflight = [
            (
                "access-control-allow-methods",
                ([methods.description] + otherMethods.sorted()).filter { !$0.isEmpty }.joined(separator: ", ")
            )
        ]
        var headers = policy.allowHeaders
        for name in routeHeaders where !headers.contains(where: { $0.lowercased() == name.lowercased() }) {
            headers.append(name)
        }
        if !headers.isEmpty {
            preflight.append(("access-control-allow-headers", headers.joined(separator: ", ")))
        }
        preflight.append(("access-control-max-age", String(Int(policy.maxAge.components.seconds))))
        preflightFields = preflight
        var fields = policy.allowCredentials ? "access-control-allow-credentials: true\r\n" : ""
        if !policy.exposeHeaders.isEmpty {
            fields += "access-control-expose-headers: \(policy.exposeHeaders.joined(separator: ", "))\r\n"
        }
        answerFields = Array(fields.utf8)
    }

    /// Whether a page may use a method.
    func allows(_ method: Method, named name: UnsafeRawBufferPointer) -> Bool {
        guard method == .other else { return methods.contains(method) }
        return methods.contains(.other) && (otherMethods.isEmpty || otherMethods.contains(name.text))
    }

    /// What `origin` may be told; nil if the policy does not let it in.
    func grant(_ origin: UnsafeRawBufferPointer) -> Grant? {
        if allowsAnyOrigin { return .any }
        let origin = Array(origin)
        return origins.contains(origin) ? .origin(origin) : nil
    }
}

extension Exchange {
    /// Writes the cross-origin fields of an answer.
    func writeCORSFields(into output: inout ByteBuffer) {
        guard let cors = route == nil ? snapshot.cors : route?.cors else { return }
        // Caches must not give one origin's answer to another.
        if !cors.allowsAnyOrigin { output.writeLiteral("vary: Origin\r\n") }
        guard let originGrant else { return }
        output.writeLiteral("access-control-allow-origin: ")
        switch originGrant {
        case .any: output.writeLiteral("*")
        case .origin(let origin): output.writeBytes(origin)
        }
        output.writeLiteral("\r\n")
        output.writeBytes(cors.answerFields)
    }
}
