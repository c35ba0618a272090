import Dovetail

/// A return, from its announcement to its end.
enum Return: String, Wire {
    case new, announced, accepted, refused

    static let events = ReturnsAPI()
    static let aggregate = Aggregate("return", Return.new)
        .apply(events.requested) { state, _ in state = .announced }
        .apply(events.accepted) { state, _ in state = .accepted }
        .apply(events.refused) { state, _ in state = .refused }

    func announce(_ request: ReturnsAPI.Requested) -> [NewEvent] {
        self == .new ? [Self.events.requested(request)] : []
    }

    func close(_ event: NewEvent) -> [NewEvent] { self == .announced ? [event] : [] }
}

/// What the shop owes a customer. It goes on for years, so it is kept in snapshots: only what came since is read.
struct Credit: Wire {
    var cents = 0
    /// The returns that it has been granted for: each once.
    var returns: Set<String> = []

    static let aggregate = Aggregate("credit", Credit())
        .apply(Return.events.credited) { credit, granted in
            credit.cents += granted.cents
            credit.returns.insert(granted.returnID)
        }
        .snapshots(.every(50))

    func grant(_ cents: Int, to userID: String, for returnID: String) -> [NewEvent] {
        returns.contains(returnID)
            ? [] : [Return.events.credited(.init(userID: userID, returnID: returnID, cents: cents))]
    }
}
