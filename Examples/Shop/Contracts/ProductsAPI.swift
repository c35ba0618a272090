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
    public struct List: Wire { public var after: String?, limit: Int? }
    public struct Page: Wire { public var products: [Product], next: String? }
    public struct Export: Wire {}
    /// One call prices a whole order, rather than one call a line.
    public struct AskQuote: Wire { public var lines: [OrderLine] }
    public struct Quote: Wire { public var cents: Int }
}

/// So many of a product.
public struct OrderLine: Wire { public var productID: String, quantity: Int }
