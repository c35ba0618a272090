/// Why JSON could not be read or written: where, what was expected, what was found.
public struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
    /// An RFC 6901 JSON pointer to the place; `""` is the whole document. `path:name` and `query:name` for fields.
    public var pointer: String
    /// What would have been right there, as in `a string`, `an integer from -128 to 127`, `one of "a", "b"`.
    public var expected: String
    /// What was there, as in `null`, `"abc"` (cut short), `nothing`.
    public var found: String
    /// The byte at which it was found, where that is known.
    public var offset: Int?

    /// An error at `pointer`.
    public init(pointer: String, expected: String, found: String, offset: Int? = nil) {
        self.pointer = pointer
        self.expected = expected
        self.found = found
        self.offset = offset
    }

    public var description: String {
        "at \(pointer.isEmpty ? "the top" : "'\(pointer)'"): expected \(expected), found \(found)"
    }
}

/// An RFC 6901 pointer in the making.
package enum JSONPointer {
    /// `pointer` with one more step, in which `~` and `/` are escaped (RFC 6901, section 3).
    package static func appending(_ step: String, to pointer: String) -> String {
        guard step.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else {
            return pointer + "/" + step
        }
        var escaped = pointer + "/"
        for scalar in step.unicodeScalars {
            switch scalar {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// The pointer that a coding path spells.
    static func of(_ path: [any CodingKey]) -> String {
        path.reduce("") { appending(step(of: $1), to: $0) }
    }

    /// Array indices are keys named `Index 3` by convention; anything else goes by its name.
    private static func step(of key: any CodingKey) -> String {
        guard let index = key.intValue, key.stringValue == "Index \(index)" else { return key.stringValue }
        return String(index)
    }
}
