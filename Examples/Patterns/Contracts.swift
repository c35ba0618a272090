import Dovetail

/// How something is paid: an enum with payloads, so it says its schema itself.
enum Payment: Wire {
    case card(number: String)
    case invoice

    private enum CodingKeys: CodingKey { case kind, number }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        switch try container.decode(String.self, forKey: .kind) {
        case "card": self = .card(number: try container.decode(String.self, forKey: .number))
        case "invoice": self = .invoice
        default:
            throw DecodingError.dataCorruptedError(
                forKey: .kind, in: container, debugDescription: "card or invoice is meant")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .card(let number):
            try container.encode("card", forKey: .kind)
            try container.encode(number, forKey: .number)
        case .invoice: try container.encode("invoice", forKey: .kind)
        }
    }
}

extension Payment: SchemaProviding {
    static let schema = Schema.oneOf([
        .object([.required("kind", .constant("card")), .required("number", .string(length: 12...19))]),
        .object([.required("kind", .constant("invoice"))]),
    ])
    static let example = Payment.invoice
}

/// A contract whose input has bounds.
struct TicketsAPI: Contract {
    let name = "tickets", version = 1
    let buy = Endpoint.post("/concerts/{concertID}/tickets", Buy.self, returns: Ticket.self)
        .requires("tickets:write").idempotent().timeout(.seconds(5)).fails(soldOut)
    let bought = Event("ticket.bought", Ticket.self, key: \.concertID)

    static let soldOut = Problem("sold-out", status: 409)

    struct Buy: Wire, Constrained {
        var concertID: String, seats: Int, payment: Payment, greeting: String?
        static let constraints: Constraints = ["seats": .range(1...8), "greeting": .length(1...140)]
    }
    struct Ticket: Wire { var id: String, concertID: String, seats: Int }
}
