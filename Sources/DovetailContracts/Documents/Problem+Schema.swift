import DovetailCore

/// Problem details (RFC 9457) as documents describe them; their own `init(from:)` is lenient on purpose, and tells nothing.
extension Problem: SchemaProviding {
    public static var schema: Schema {
        .object([
            .required("type", .string(format: "uri-reference")),
            .required("title", .string),
            .required("status", .integer(100...599)),
            .optional("detail", .string),
            .optional("instance", .string),
            .optional("contract", .string),
            .optional(
                "violations",
                .array(of: .object([.required("pointer", .string), .required("expected", .string)]))),
            .optional("retryAfter", .number),
        ])
    }

    public static var example: Problem { Problem("out-of-stock", status: 409) }
}
