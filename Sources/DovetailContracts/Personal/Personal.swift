import DovetailCore

/// A value that belongs to a person, and is kept under that person's key: once the person is forgotten, it is absent wherever it was kept.
///
///     public struct Registered: Wire { public var userID: String, email: Personal<String> }
///     events.registered(.init(userID: id, email: Personal("ann@example.com", of: id)))
///
/// In memory it is a value, or ``isForgotten``. At rest, in a log's payload, a snapshot, a saga's state, a column, it is text that only a node with the key can
/// read; what was read is written again as the same text. Over HTTP, in the input and answer of an endpoint, it is the value itself, or null. It never describes itself.
///
/// The subject is an id that says nothing by itself, as a customer's: it is kept beside the value, and stays when the value is gone.
public struct Personal<Value: Wire>: Sendable {
    /// The value; nil once its subject is forgotten.
    public let value: Value?
    /// Whose it is, by id; nil for what came from outside, where only the value is told. To keep such a value, say whose it is: ``of(_:)``.
    public let subject: String?
    /// The text that it was read from, which keeps it as well the next time.
    let sealed: SealedText?

    init(value: Value?, subject: String?, sealed: SealedText?) {
        self.value = value
        self.subject = subject
        self.sealed = sealed
    }

    /// A value that belongs to `subject`.
    ///
    /// It is sealed when it is written. That throws ``PersonalDataError`` `subjectForgotten` if the subject is forgotten: who comes back gets a new id.
    /// What an upcaster makes is nothing new: of a forgotten subject it is absent.
    public init(_ value: Value, of subject: String) {
        self.init(value: PersonalData.isGone(subject) ? nil : value, subject: subject, sealed: nil)
    }

    /// What is left of a value of `subject`: for tests of how its absence is handled.
    public static func forgotten(_ subject: String) -> Personal {
        Personal(value: nil, subject: subject, sealed: nil)
    }

    /// Whether it is gone.
    public var isForgotten: Bool { value == nil }

    /// The same value, as `subject`'s.
    public func of(_ subject: String) -> Personal {
        value.map { Personal($0, of: subject) } ?? .forgotten(subject)
    }

    /// What `change` makes of the value, of the same subject.
    public func map<Changed>(_ change: (Value) throws -> Changed) rethrows -> Personal<Changed> {
        // Of what is gone the text is as good as any other's.
        Personal<Changed>(value: try value.map(change), subject: subject, sealed: isForgotten ? sealed : nil)
    }

    /// The text under which it is kept; nil for what is gone and leaves none.
    package func sealedText() throws -> String? {
        if let sealed { return sealed.text }
        guard let value else { return nil }
        guard let subject, SealedText.allows(subject: subject) else {
            throw PersonalDataError(.noSubject, subject ?? "a personal value")
        }
        guard let vault = PersonalData.vault else { throw PersonalDataError(.noVault, subject) }
        return try vault.seal(try JSON.encode(value), of: subject).text
    }

    /// What is kept under a text. Throws ``PersonalDataError``.
    package init(unsealing text: String) throws {
        guard let sealed = SealedText(text) else { throw PersonalDataError(.notSealed, "a personal value") }
        guard let vault = PersonalData.vault else { throw PersonalDataError(.noVault, sealed.subject) }
        guard let bytes = try vault.open(sealed) else {
            self.init(value: nil, subject: sealed.subject, sealed: sealed)
            return
        }
        let value: Value
        do { value = try JSON.decode(Value.self, from: bytes) } catch {
            // The error would quote the value.
            throw PersonalDataError(.misfit, sealed.subject)
        }
        self.init(value: value, subject: sealed.subject, sealed: sealed)
    }
}

extension Personal: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self.init(value: nil, subject: nil, sealed: nil)
            return
        }
        guard (decoder as? any PersonalFormCoder)?.personalForm == .plain else {
            let text: String
            do { text = try container.decode(String.self) } catch {
                throw PersonalDataError(.notSealed, "a personal value")
            }
            try self.init(unsealing: text)
            return
        }
        self.init(value: try container.decode(Value.self), subject: nil, sealed: nil)
    }

    public func encode(to encoder: any Encoder) throws {
        switch (encoder as? any PersonalFormCoder)?.personalForm ?? .sealed {
        case .sealed:
            var container = encoder.singleValueContainer()
            if let text = try sealedText() { try container.encode(text) } else { try container.encodeNil() }
        case .plain:
            var container = encoder.singleValueContainer()
            if let value { try container.encode(value) } else { try container.encodeNil() }
        case .described:
            var container = encoder.container(keyedBy: DescribedKey.self)
            try container.encodeIfPresent(subject, forKey: .subject)
            try container.encodeIfPresent(value, forKey: .value)
        }
    }

    private enum DescribedKey: String, CodingKey { case subject = "of", value = "personal" }
}

/// The same value of the same subject, however each is kept.
extension Personal: Equatable where Value: Equatable {
    public static func == (one: Personal, other: Personal) -> Bool {
        one.value == other.value && one.subject == other.subject
    }
}

extension Personal: Hashable where Value: Hashable {
    public func hash(into hasher: inout Hasher) {
        hasher.combine(value)
        hasher.combine(subject)
    }
}

/// Neither a log line nor a debugger's dump shows the value.
extension Personal: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        isForgotten ? "(forgotten)" : subject.map { "(personal, of \($0))" } ?? "(personal)"
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// To others it is the value, or null.
extension Personal: ProbedCollection {
    static func schema(in catalog: inout SchemaCatalog) throws(SchemaError) -> Schema {
        catalog.notePersonalData()
        return try catalog.schema(of: Value.self).orNull
    }

    static func placeholder(_ placeholders: Placeholders) throws -> Personal {
        Personal(value: try placeholders.value(Value.self), subject: "a", sealed: nil)
    }
}
