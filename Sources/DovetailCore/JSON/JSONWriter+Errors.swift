/// Where the writer is, and what cannot be written there.
extension JSONWriter {
    /// The coding path of the frame at `depth`.
    func path(to depth: Int) -> [any CodingKey] {
        prefix
            + (0..<min(depth, self.depth + 1)).compactMap { level -> (any CodingKey)? in
                switch frames[level].kind {
                case .object: JSONName(name(from: frames[level].start))
                case .array: JSONIndex(frames[level].count - 1)
                case .empty, .scalar: nil
                }
            }
    }

    /// The name of the member that starts at `start`, which stands in the buffer as written.
    private func name(from start: Int) -> String {
        var at = start
        while at < count, bytes[at] != JSONText.quote { at += 1 }
        let first = at + 1
        at = first
        while at < count, bytes[at] != JSONText.quote { at += bytes[at] == JSONText.backslash ? 2 : 1 }
        guard first <= at, at <= count else { return "" }
        let text = UnsafeBufferPointer(start: bytes + first, count: at - first)
        return String(decoding: JSONText.unescaped(text), as: UTF8.self)
    }

    /// The error that the present value cannot be written; takes back the place that was begun for it.
    @inline(never)
    func unwritable(_ expected: String, found: String) -> any Error {
        let path = path(to: depth + 1)
        undo()
        let error = JSONError(pointer: JSONPointer.of(path), expected: expected, found: found)
        return EncodingError.invalidValue(
            found, .init(codingPath: path, debugDescription: error.description, underlyingError: error))
    }

    func tooDeep() -> any Error {
        unwritable("at most \(JSONText.maximumDepth) levels of nesting", found: "one more")
    }

    func outOfTurn() -> any Error {
        let error = JSONError(
            pointer: JSONPointer.of(path(to: depth + 1)), expected: "one value at a time",
            found: "a container used after another one was begun")
        return EncodingError.invalidValue(
            error.found, .init(codingPath: [], debugDescription: error.description, underlyingError: error))
    }
}
