import Foundation

/// A small order event.
struct OrderPlaced: Codable, Equatable {
    struct Line: Codable, Equatable {
        var productID: String
        var quantity: Int
    }

    var id: String
    var userID: String
    var lines: [Line]
    var totalCents: Int
    var note: String?
    var placedAt: Date

    static let sample = OrderPlaced(
        id: "0198c1b2-7a3f-7d21-9c44-1b2c3d4e5f60", userID: "user-4711",
        lines: [
            Line(productID: "product-7", quantity: 2), Line(productID: "product-12", quantity: 1),
            Line(productID: "product-3", quantity: 5),
        ], totalCents: 129_900, note: nil, placedAt: Date(timeIntervalSinceReferenceDate: 800_000_000))
}
