extension PlatformConfiguration.Route {
    /// Many requests as one.
    public struct Batch: Sendable, Hashable {
        /// The most requests in one; 20 by default.
        public let maximum: Int
        /// Bytes that all answers may have together; 4 MiB by default.
        public let maxAnswer: Int
    }

    /// One of the answers that an answer is made of.
    public struct Part: Sendable, Hashable {
        /// The name of its member.
        public let name: String
        /// What is got.
        public let get: String
        /// Whether there is no answer without it; true by default.
        public let isRequired: Bool
    }

    /// What stands under `aggregate`.
    struct Aggregate {
        var parts: [Part]
        var maxAnswer: Int
    }

    /// What cannot be said of a route that others answer.
    func reportWhatOthersDo(_ section: SectionReader) {
        for key in ["rewrite", "requestHeaders", "responseHeaders", "webSocket", "cache"] where section.has(key) {
            section.report("other routes answer this one; '\(key)' is theirs to say", key: key)
        }
        let allowed: Set<String> = if case .batch = target { ["POST"] } else { ["GET", "HEAD"] }
        if !allowed.isSuperset(of: methods) {
            section.report("this takes \(allowed.sorted().joined(separator: " and ")) alone", key: "methods")
        }
        if path.hasSuffix("**") {
            section.report("this is one path, not all below one", key: "path")
        }
    }
}

extension PlatformConfiguration.Route.Batch {
    init(reading section: SectionReader) {
        maximum = section.value("maximum", .integer(1...100), default: "20", "The most requests in one.")
        maxAnswer = section.value(
            "maxAnswer", .byteCount(1024...1 << 30), default: "4MiB", "How large all answers may be together.")
    }
}

extension PlatformConfiguration.Route.Aggregate {
    init(reading section: SectionReader) {
        parts = section.required(
            "parts",
            .named("parts by name") { name in
                .section("{ get: … }") { part in
                    PlatformConfiguration.Route.Part(
                        name: name,
                        get: part.required(
                            "get", .partTarget,
                            "A path and a query of the gateway's own; {name} stands for what the route's path matched, {query.name} for a parameter."
                        ),
                        isRequired: part.value(
                            "required", .flag, default: "true", "Whether there is no answer without it."))
                }
            }, "The answers that it is made of, by the names they get."
        ).map(\.value)
        maxAnswer = section.value(
            "maxAnswer", .byteCount(1024...1 << 30), default: "4MiB", "How large all answers may be together.")
        if parts.isEmpty || parts.count > 16 {
            section.report("an answer is made of 1 to 16 parts", key: "parts")
        }
        if parts.contains(where: { $0.name == "errors" }) {
            section.report("'errors' is the member that says what failed; no part is named so", key: "parts")
        }
    }
}

extension ConfigurationType where Value == String {
    /// What a part of an aggregate gets.
    fileprivate static var partTarget: ConfigurationType {
        text(
            "a path with a query, such as /orders?user={id}", pattern: "^/[!\"$-~]*$", example: "/"
        ) { text in
            text.hasPrefix("/") && text.utf8.allSatisfy { (33...126).contains($0) && $0 != 35 } ? text : nil
        }
    }
}
