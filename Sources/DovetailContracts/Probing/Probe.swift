/// One run of a type's `init(from:)` against placeholders.
///
/// A class, because the decoder's containers are values that all write into it; used by one thread within one call.
final class Probe {
    /// Thrown for a value that is refused, and for a question that has no schema for an answer.
    struct Refusal: Error {}

    let placeholders: Placeholders
    /// Why what was asked makes no schema: the first reason.
    private(set) var problem: (field: String?, message: String)?
    /// How many values were read.
    private(set) var reads = 0
    /// The read that is refused, to see how the type takes it.
    private let refused: Int?

    init(_ placeholders: Placeholders, refusing refused: Int? = nil) {
        self.placeholders = placeholders
        self.refused = refused
    }

    /// A question. After a refusal there should be none: whoever asks on takes one thing or another.
    func touch(_ field: String?) {
        guard let refused, reads > refused else { return }
        _ = beyond(field, "it is asked for after a value that does not fit, so what is taken depends on what is found")
    }

    /// Notes a question that has no schema for an answer, and is the error that says so.
    func beyond(_ field: String?, _ message: String) -> Refusal {
        if problem == nil { problem = (field, message) }
        return Refusal()
    }

    /// A placeholder for a value that is read.
    func value<T: Decodable>(_ type: T.Type) throws -> T {
        reads += 1
        if reads - 1 == refused { throw Refusal() }
        return try placeholders.value(type)
    }
}
