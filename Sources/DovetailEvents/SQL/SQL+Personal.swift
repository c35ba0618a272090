import DovetailContracts

/// Personal values in statements: a column holds them sealed, as text.
///
/// A column can be read as ``Personal``, and not be searched by its value: equal values are different texts.
extension SQL.StringInterpolation {
    /// Binds a personal value, sealed; NULL for one that is gone and left no text. One that cannot be sealed fails the statement with ``PersonalDataError``.
    public mutating func appendInterpolation<Value>(_ value: Personal<Value>) {
        do { bind(try value.sealedText()) } catch { refuse(error) }
    }

    /// Binds a personal value, sealed, or NULL.
    public mutating func appendInterpolation<Value>(_ value: Personal<Value>?) {
        guard let value else { return bind(nil) }
        appendInterpolation(value)
    }

    private mutating func bind(_ text: String?) { appendInterpolation(text) }

    private mutating func refuse(_ error: any Error) {
        // Another error is the value's own, which cannot be encoded.
        refusal = refusal ?? (error as? PersonalDataError ?? PersonalDataError(.misfit, "a statement's value"))
        bind(nil)
    }
}

extension SQL {
    /// Throws what keeps its values from being bound.
    func requireValues() throws {
        if let refusal { throw refusal }
    }
}
