import DovetailCore

extension CachedResponse {
    /// What is kept when an upstream has said by a 304 that it still holds (RFC 9111 3.2, 4.3.4): what the 304 says stands in place of what was said before, and
    /// the rest stays as it was.
    ///
    /// - Parameters:
    ///   - lines: Its fields that are kept.
    ///   - storability: What it says of keeping; nil if it says nothing that can be used.
    func renewed(
        by fields: [HeaderField], _ bytes: UnsafeRawBufferPointer, lines: [UInt8], _ storability: Storability?,
        at now: MonotonicTime
    ) -> CachedResponse {
        var renewed = self
        if !CachedResponse.speaksOfTime(fields, bytes) {
            renewed.times.storedAt = now
            renewed.times.initialAge = 0
        } else if let storability {
            renewed.times = storability.times
        }
        renewed.tag = storability?.tag ?? tag
        renewed.lastModified = storability?.lastModified ?? lastModified
        renewed.lines = replacing(lines)
        return renewed
    }

    /// Whether an answer says itself how long it may be served.
    private static func speaksOfTime(_ fields: [HeaderField], _ bytes: UnsafeRawBufferPointer) -> Bool {
        fields.contains { field in
            let name = bytes[field.name]
            return name.equalsIgnoringCase("cache-control") || name.equalsIgnoringCase("expires")
        }
    }

    /// The lines with others in place of those of the same names; what describes the body is the body's, which has not come anew.
    private func replacing(_ others: [UInt8]) -> [UInt8] {
        var names: [[UInt8]] = []
        var added: [UInt8] = []
        TrailerSection.forEachField(others) { name, line in
            let isBody = CachedResponse.ofTheBody.contains { name.equalsIgnoringCase($0) }
            guard !isBody else { return }
            names.append(name.map(lowercased))
            added += line
        }
        var kept: [UInt8] = []
        TrailerSection.forEachField(lines) { name, line in
            let isReplaced = names.contains { name.equalsIgnoringCase($0) }
            if !isReplaced { kept += line }
        }
        return kept + added
    }

    private static let ofTheBody: [StaticString] = ["content-encoding", "content-type", "content-range"]
}

extension Storability {
    /// Whether an answer says that it must not be kept for others, whoever has asked: then what it renews must not be either.
    static func isForbidden(by fields: [HeaderField], _ bytes: UnsafeRawBufferPointer) -> Bool {
        let control = CacheControl(fields, in: bytes)
        return control.noStore || control.isPrivate
            || fields.contains { bytes[$0.name].equalsIgnoringCase("set-cookie") }
    }
}
