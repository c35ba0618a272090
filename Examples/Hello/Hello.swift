import Dovetail

/// What the module promises to the others.
struct GreetingsAPI: Contract {
    let name = "greetings", version = 1
    let greet = Endpoint.post("/greetings", Greet.self, returns: Greeting.self).idempotent()
    let all = Endpoint.get("/greetings", All.self, returns: Page.self)
    let greeted = Event("person.greeted", Greeting.self, key: \.name)

    struct Greet: Wire { var name: String }
    struct Greeting: Wire { var name: String, text: String }
    struct All: Wire { var limit: Int? }
    struct Page: Wire { var greetings: [Greeting] }
}

let greetings = Module("greetings", provides: GreetingsAPI()) { module in
    let events = GreetingsAPI()
    module.handle(\.greet) { input, context in
        try await context.once { transaction in  // the same Idempotency-Key: the same answer, one event
            let greeting = GreetingsAPI.Greeting(name: input.name, text: "Hello, \(input.name)")
            try transaction.publish(events.greeted(greeting))
            return greeting
        }
    }
    module.project(
        Projection("greetings", version: 1, tables: "CREATE TABLE greetings (name TEXT NOT NULL, text TEXT NOT NULL)")
            .on(events.greeted) { event, view in
                try view.execute("INSERT INTO greetings VALUES (\(event.name), \(event.text))")
            })
    module.handle(\.all) { input, context in
        let sql: SQL = "SELECT * FROM greetings ORDER BY name LIMIT \(min(max(input.limit ?? 10, 1), 100))"
        return .init(greetings: try await context.rows(GreetingsAPI.Greeting.self, sql))
    }
}

@main
struct Hello: Platform {
    static let modules = [greetings]
}
