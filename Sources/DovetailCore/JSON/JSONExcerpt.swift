/// Text from outside, fit to stand in an error: short and without control characters.
enum JSONExcerpt {
    /// The first of `text`, at most 36 characters with the mark of the cut.
    static func of(_ text: String) -> String {
        var excerpt = ""
        var length = 0
        for scalar in text.unicodeScalars {
            if length == 35 { return excerpt + "…" }
            excerpt.unicodeScalars.append(scalar.properties.generalCategory == .control ? "\u{FFFD}" : scalar)
            length += 1
        }
        return excerpt
    }
}

extension JSONScanner.Failure {
    /// The failure as an error that says where in the document's structure it is.
    func located(in scanner: JSONScanner, _ text: UnsafeBufferPointer<UInt8>) -> JSONError {
        JSONError(
            pointer: scanner.pointer(text), expected: expected, found: found ?? excerpt(of: text), offset: offset)
    }

    private func excerpt(of text: UnsafeBufferPointer<UInt8>) -> String {
        guard offset < text.count else { return "the end of the text" }
        let byte = text[offset]
        guard byte > 0x20, byte < 0x7F else { return "the byte 0x" + String(byte, radix: 16, uppercase: true) }
        return "'\(Unicode.Scalar(byte))'"
    }
}

extension JSONScanner {
    /// The pointer of the place that the scan has reached: the containers that are open, and where it is in each.
    fileprivate func pointer(_ text: UnsafeBufferPointer<UInt8>) -> String {
        var containers: [Int] = []
        var container = open
        while container != JSONToken.none {
            containers.append(Int(container))
            container = tokens.base[Int(container)].parent
        }
        var pointer = ""
        var inner = tokens.count
        var steps: [String] = []
        for container in containers {
            if let step = step(in: container, before: inner, text) { steps.append(step) }
            inner = container
        }
        for step in steps.reversed() { pointer = JSONPointer.appending(step, to: pointer) }
        return pointer
    }

    /// The child of an open container that begins at `end`: nil between an object's members.
    private func step(in container: Int, before end: Int, _ text: UnsafeBufferPointer<UInt8>) -> String? {
        let isObject = tokens.base[container].kind == .object
        var ordinal = 0
        var index = container + 1
        while index < end {
            let value = isObject ? index + 1 : index
            if value >= end {
                let token = tokens.base[index]
                let range = Int(token.start)..<Int(token.end)
                return token.flags.contains(.aside)
                    ? String(decoding: side[range], as: UTF8.self)
                    : String(decoding: UnsafeBufferPointer(rebasing: text[range]), as: UTF8.self)
            }
            index = Int(tokens.base[value].next)
            ordinal += 1
        }
        return isObject ? nil : String(ordinal)
    }
}
