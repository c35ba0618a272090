import BenchmarkSupport
import DovetailContracts
import DovetailCore
import DovetailEvents

/// The event of all cases: 256 bytes of JSON.
struct OrderPlaced: Codable, Sendable, Equatable {
    struct Line: Codable, Sendable, Equatable {
        var productID: String
        var quantity: Int
    }

    var orderID: String
    var userID: String
    var lines: [Line]
    var totalCents: Int
    var note: String

    static let event = Event("order.placed", OrderPlaced.self, key: \.orderID)

    /// An order, padded to 256 bytes.
    static let sample: OrderPlaced = {
        var order = OrderPlaced(
            orderID: "order-000042", userID: "user-4711",
            lines: [
                Line(productID: "product-7", quantity: 2), Line(productID: "product-12", quantity: 1),
                Line(productID: "product-3", quantity: 5),
            ], totalCents: 129_900, note: "")
        let size = (try? JSON.encode(order).count) ?? 0
        order.note = String(repeating: "x", count: max(0, 256 - size))
        return order
    }()
}

/// Makes drafts: 256 bytes, a UUIDv7 id, one of a thousand keys.
struct Drafts: Sendable {
    private let data: [UInt8]
    private let keys = (0..<1000).map { "order-\($0)" }

    init() throws {
        data = try JSON.encode(OrderPlaced.sample)
        guard data.count == 256 else { throw UsageError("an event has \(data.count) bytes instead of 256") }
    }

    func next(_ number: Int, type: String = OrderPlaced.event.name) -> EventDraft {
        EventDraft(type: type, key: keys[number % keys.count], source: "bench", data: data)
    }
}
