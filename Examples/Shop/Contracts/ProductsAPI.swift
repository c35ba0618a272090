import Dovetail

/// What the catalogue promises: a plain request/response contract.
public struct ProductsAPI: Contract {
    public let name = "products", version = 1
    public let list = Endpoint.get("/products", List.self, returns: Page.self)
    public let export = Endpoint.get("/products/export", Export.self, streams: Product.self)
    public let quote = Endpoint.put("/quotes", AskQuote.self, returns: Quote.self).fails(unknownProduct)

    public static let unknownProduct = Problem("unknown-product", status: 422)

    public init() {}

    public struct Product: Wire { public var id: String, name: String, cents: Int }
    public struct List: Wire, Constrained {
        public var after: String?, limit: Int?
        public static let constraints: Constraints = ["limit": .range(1...200)]
    }
    public struct Page: Wire { public var products: [Product], next: String? }
    public struct Export: Wire {}
    /// One call prices a whole order, rather than one call a line.
    public struct AskQuote: Wire, Constrained {
        public var lines: [OrderLine]
        public static let constraints: Constraints = ["lines": .count(0...50)]
    }
    public struct Quote: Wire { public var cents: Int }
}

/// So many of a product. What breaks a constraint is refused with its pointer before a handler sees it, and documented.
public struct OrderLine: Wire, Constrained {
    public var productID: String, quantity: Int
    public static let constraints: Constraints = ["productID": .length(1...64), "quantity": .range(1...100)]
}
