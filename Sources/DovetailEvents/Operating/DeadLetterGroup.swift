import Foundation

/// Dead letters that died of the same: of one topic, for one reason, with errors that differ in numbers and ids only.
public struct DeadLetterGroup: Sendable, Hashable {
    /// The topic.
    public var type: String
    /// Why they were given up on.
    public var reason: DeadLetter.Reason
    /// The error, with `#` where numbers and ids were.
    public var error: String
    /// How many there are.
    public var count: Int
    /// The number of the first one.
    public var first: Int64
    /// When the last one was given up on.
    public var lastDiedAt: Date

    /// An error with its numbers and ids taken out: what is left says what kind it is.
    static func shape(of error: String) -> String {
        var shape = ""
        var word = ""
        func end() {
            // A word with a digit in it is a number, an id, an address.
            shape += word.contains(where: \.isNumber) ? "#" : word
            word = ""
        }
        for character in error.prefix(400) {
            if character.isLetter || character.isNumber || character == "-" || character == "_" {
                word.append(character)
            } else {
                end()
                shape.append(character)
            }
        }
        end()
        return shape
    }
}

/// Which dead letters are meant.
public struct DeadLetterChoice: Sendable {
    /// Only of this topic.
    public var type: String?
    /// Only for this reason.
    public var reason: DeadLetter.Reason?
    /// Only those whose error has this in it.
    public var error: String?

    /// All of them, or those that fit.
    public init(type: String? = nil, reason: DeadLetter.Reason? = nil, error: String? = nil) {
        self.type = type
        self.reason = reason
        self.error = error
    }

    func contains(_ letter: DeadLetter) -> Bool {
        (type.map { $0 == letter.type } ?? true) && (reason.map { $0 == letter.reason } ?? true)
            && (error.map { letter.error.contains($0) } ?? true)
    }
}
