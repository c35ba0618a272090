import DovetailPlatform
import Testing

/// The example of a whole file, as a user would write it.
let sketch = """
    version: 1
    platform: shop
    nodes:
      main:     { modules: [users, products, orders, inventory], store: { engine: sqlite, path: data/main.db, durability: full } }
      payments: { modules: [payments], listen: 127.0.0.1:8081, store: { engine: sqlite, path: data/payments.db } }
    gateway:
      node: main
      listen: 127.0.0.1:8080
      authentication:
        customers: { jwt: { issuer: https://id.shop.example, audience: shop, algorithms: [ES256], jwks: { file: keys/jwks.json } } }
      cors: { allowOrigins: [https://shop.example] }
      routes:
        - contract: orders@1
          path: /api
          authentication: customers
          rateLimit: { rate: 100/s, burst: 200, by: principal }
        - contract: products@1
          path: /api
          authentication: none
        - path: /legacy/**
          methods: [GET]
          authentication: customers
          rewrite: { stripPrefix: /legacy }
          upstream: legacy
    upstreams:
      legacy:
        servers: [http://10.0.0.5:3000, { url: http://10.0.0.6:3000, weight: 2 }]
        loadBalancing: least-request
    policies:
      default:
        timeout: 15s
        retry: { attempts: 3, backoff: { base: 25ms, max: 250ms }, budget: { ratio: 20%, minimum: 10/s } }
        circuitBreaker: { failureRate: 50%, minimumCalls: 20, window: 10s, open: 1s, maxOpen: 60s, halfOpenCalls: 3 }
      payments: { extends: default, timeout: 2s, bulkhead: { concurrent: 32, queue: 64 } }
    calls: { payments: payments }
    admin: { listen: "unix:data/admin.sock" }
    telemetry: { accessLog: json, prometheus: { path: /metrics } }

    """

let modules = [
    DeclaredModule(name: "users"), DeclaredModule(name: "inventory"), DeclaredModule(name: "payments"),
    DeclaredModule(name: "products", contracts: [ContractReference(name: "products", major: 1)]),
    DeclaredModule(name: "orders", contracts: [ContractReference(name: "orders", major: 1)]),
]

func parse(
    _ text: String, environment: [String: String] = [:], modules: [DeclaredModule]? = nil
) throws -> PlatformConfiguration {
    try PlatformConfiguration.parse(Array(text.utf8), environment: environment, modules: modules)
}

/// What is wrong with a file, a line an issue.
func issues(
    in text: String, environment: [String: String] = [:], modules: [DeclaredModule]? = nil
) -> [String] {
    do {
        _ = try parse(text, environment: environment, modules: modules)
        return []
    } catch let error as ConfigurationError {
        return error.issues.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

/// What is wrong with a file of any bytes.
func issues(inBytes bytes: [UInt8]) -> [String] {
    do {
        _ = try PlatformConfiguration.parse(bytes)
        return []
    } catch {
        return error.issues.map(\.description)
    }
}

/// A smallest file with more put under it.
func minimal(_ more: String = "") -> String {
    "version: 1\nplatform: shop\nnodes: { main: { modules: [orders] } }\n" + more
}
