/// What a `DecodingError` of this codec carries until it leaves ``JSON/decode(_:from:fields:)``.
///
/// Cheap to make, since user code may catch the error and try another type; pointer and words are made at the end.
struct JSONMisfit: Error, @unchecked Sendable {
    // Unchecked for the metatype alone, which is only ever read.
    /// The value that does not fit, or the container that lacks one.
    var index: Int
    /// The member or element that is not there.
    var missing: String?
    /// What was asked for.
    var type: Any.Type
}

/// An array index in a coding path.
struct JSONIndex: CodingKey {
    let intValue: Int?
    var stringValue: String { "Index \(intValue ?? 0)" }
    init(_ index: Int) { intValue = index }
    init?(intValue: Int) { self.intValue = intValue }
    init?(stringValue: String) { nil }
}

/// A member name in a coding path.
struct JSONName: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension JSONDocument {
    // MARK: Making errors

    /// The value at `index` is not a `type`; `reason` where it has the right form and the wrong content.
    func misfit(_ type: Any.Type, at index: Int) -> any Error {
        let misfit = JSONMisfit(index: index, missing: nil, type: type)
        let context = DecodingError.Context(
            codingPath: [], debugDescription: "the value does not fit", underlyingError: misfit)
        return isNull(at: index) ? DecodingError.valueNotFound(type, context) : .typeMismatch(type, context)
    }

    /// The object at `index` has no member `key`, which should be a `type`.
    func missing(_ key: any CodingKey, _ type: Any.Type, in index: Int) -> any Error {
        let misfit = JSONMisfit(index: index, missing: key.stringValue, type: type)
        return DecodingError.keyNotFound(
            key,
            DecodingError.Context(
                codingPath: [], debugDescription: "the member is missing", underlyingError: misfit))
    }

    /// The array at `index` ends before the element `element`, which should be a `type`.
    func missing(_ element: Int, _ type: Any.Type, in index: Int) -> any Error {
        let misfit = JSONMisfit(index: index, missing: String(element), type: type)
        return DecodingError.valueNotFound(
            type,
            DecodingError.Context(
                codingPath: [], debugDescription: "the array has no more elements", underlyingError: misfit))
    }

    /// `error` as it leaves the initializer of `type`, called for the value at `index`.
    func noted(_ error: any Error, _ type: any Decodable.Type, at index: Int) -> any Error {
        let misfit = (error as? DecodingError)?.context.underlyingError as? JSONMisfit
        if let misfit, misfit.index != index || misfit.missing != nil { return error }
        if error is DecodingError, type is any (RawRepresentable & CaseIterable).Type {
            // The raw value's type and the enum's own refusal say less than the list of its values.
            return self.misfit(type, at: index)
        }
        if misfit == nil { refused(at: index) }
        return error
    }

    // MARK: Telling errors

    /// `error` with its place and words, as it leaves the codec.
    func told(_ error: any Error) -> any Error {
        guard let decoding = error as? DecodingError else {
            // A failure that a type chose to report is an answer of its own.
            if error is any ClassifiedFailure || error is JSONError { return error }
            return refused("a valid value (\(error))", path: [])
        }
        if let misfit = decoding.context.underlyingError as? JSONMisfit { return told(misfit) }
        if let error = decoding.context.underlyingError as? JSONError { return error }
        let debug = decoding.context.debugDescription
        let expected =
            debug.lowercased().hasPrefix("expected ")
            ? String(debug.dropFirst(9)) : debug.isEmpty ? "a valid value" : "a valid value (\(debug))"
        var path = decoding.context.codingPath
        if case .keyNotFound(let key, _) = decoding { path.append(key) }
        return refused(expected, path: path)
    }

    private func told(_ misfit: JSONMisfit) -> JSONError {
        let place = pointer(of: misfit.index)
        if let missing = misfit.missing {
            return JSONError(
                pointer: JSONPointer.appending(missing, to: place),
                expected: JSONExpectation.text(for: misfit.type, found: nil), found: "nothing")
        }
        let token = tokens[misfit.index]
        return JSONError(
            pointer: place, expected: JSONExpectation.text(for: misfit.type, found: token),
            found: found(at: misfit.index),
            offset: offset(of: misfit.index))
    }

    /// An error that user code threw, at the innermost place that is known.
    private func refused(_ expected: String, path: [any CodingKey]) -> JSONError {
        let index = refusal ?? 0
        let known = pointer(of: index)
        let spelled = JSONPointer.of(path)
        let isDeeper = spelled.hasPrefix(known) && spelled != known
        return JSONError(
            pointer: isDeeper ? spelled : known, expected: expected, found: isDeeper ? "another" : found(at: index),
            offset: offset(of: index))
    }

    private func offset(of index: Int) -> Int? {
        let token = tokens[index]
        if token.kind == .field || token.kind == .fields || token.flags.contains(.aside) { return nil }
        return Int(token.start) - (token.kind == .string ? 1 : 0)
    }

    // MARK: Places

    /// The RFC 6901 pointer of the value at `index`; `path:name` and `query:name` for what came from fields.
    func pointer(of index: Int) -> String {
        if let field = field(at: index) { return "\(field.origin):\(field.name)" }
        return JSONPointer.of(path(of: index))
    }

    /// The coding path of the value at `index`.
    func path(of index: Int) -> [any CodingKey] {
        var path: [any CodingKey] = []
        var index = index
        while index < count, tokens[index].parent != JSONToken.none {
            let parent = Int(tokens[index].parent)
            path.append(
                tokens[parent].kind == .object
                    ? JSONName(text(at: index - 1)) : JSONIndex(ordinal(of: index, in: parent)))
            index = parent
        }
        return path.reversed()
    }

    private func ordinal(of index: Int, in array: Int) -> Int {
        var ordinal = 0
        var element = array + 1
        while element < index {
            element = Int(tokens[element].next)
            ordinal += 1
        }
        return ordinal
    }

    private func field(at index: Int) -> JSON.Field? {
        switch tokens[index].kind {
        case .field, .fields: fields[Int(tokens[index].mark)]
        default: nil
        }
    }

    /// What stands at `index`, cut short.
    private func found(at index: Int) -> String {
        switch tokens[index].kind {
        case .null: index < count ? "null" : "nothing"
        case .yes: "true"
        case .no: "false"
        case .array: "an array"
        case .object: "an object"
        case .fields: "several values"
        case .number: JSONExcerpt.of(text(at: index))
        case .string, .name, .field: "\"" + JSONExcerpt.of(text(at: index)) + "\""
        }
    }
}

extension DecodingError {
    /// The context of whichever case this is.
    var context: Context {
        switch self {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
            .dataCorrupted(let context):
            context
        @unknown default: Context(codingPath: [], debugDescription: String(describing: self))
        }
    }
}
