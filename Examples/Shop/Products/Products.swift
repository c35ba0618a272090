import Dovetail

/// A catalogue: plain request and response on a table.
let products = Module("products", provides: ProductsAPI()) { products in
    products.tables(
        "CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT NOT NULL, cents BIGINT NOT NULL)",
        """
        INSERT INTO products (id, name, cents)
        VALUES ('anvil', 'Anvil, 50 kg', 19900), ('bellows', 'Bellows', 4950), ('chisel', 'Chisel, 12 mm', 1250),
            ('dowel', 'Dowels, a hundred', 480), ('easel', 'Easel', 7400)
        """
    )

    products.handle(\.list) { input, context in
        let limit = input.limit ?? 50
        let page = try await context.snapshot { tables in
            try tables.rows(
                ProductsAPI.Product.self,
                "SELECT * FROM products WHERE id > \(input.after ?? "") ORDER BY id LIMIT \(limit + 1)")
        }
        return .init(products: Array(page.prefix(limit)), next: page.count > limit ? page[limit - 1].id : nil)
    }

    products.handle(\.export) { _, context in
        let all = try await context.snapshot { tables in
            try tables.rows(ProductsAPI.Product.self, "SELECT * FROM products ORDER BY id")
        }
        return AnswerStream(all)
    }

    products.handle(\.quote) { input, context in
        try await context.snapshot { tables in
            var cents = 0
            for line in input.lines {
                guard
                    let price = try tables.row(
                        Int.self, "SELECT cents FROM products WHERE id = \(line.productID)")
                else { throw ProductsAPI.unknownProduct("there is no product '\(line.productID)'") }
                cents += price * line.quantity
            }
            return .init(cents: cents)
        }
    }
}
