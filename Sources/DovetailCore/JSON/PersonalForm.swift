/// In which form personal data goes into JSON and comes out of it. See `Personal`.
package enum PersonalForm: Sendable {
    /// As it is kept: under the key of the person whose it is.
    case sealed
    /// As it is told to who may have it: the value, or null.
    case plain
    /// With whose it is beside it, for a test to compare. Not read.
    case described
}

/// A coder that says in which form it wants personal data. One that does not wants it sealed: what is written plainly has to be asked for.
package protocol PersonalFormCoder {
    /// The form.
    var personalForm: PersonalForm { get }
}

extension JSONReader: PersonalFormCoder {
    package var personalForm: PersonalForm { document.personalForm }
}

extension JSONEncoding: PersonalFormCoder {
    package var personalForm: PersonalForm { writer.personalForm }
}
