import DovetailContracts
import DovetailCore

enum OpenAPI {
    static func document(for: [any Contract], title: String, servers: [String]) throws -> JSONValue { .null }
}

enum Schema {
    static func of(_ type: any Wire.Type) throws -> JSONValue { .null }
}

struct TempFinding {
    enum S { case error, warning }
    var severity: S, place: String, message: String
}

enum ContractCheck {
    static func findings(for contract: any Contract) -> [TempFinding] { [] }
}
