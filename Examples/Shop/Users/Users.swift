import Dovetail

/// The customers.
let users = Module("users", provides: UsersAPI()) { users in
    users.tables(
        "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL)",
        """
        INSERT INTO users (id, email)
        VALUES ('user-1', 'user-1@shop.example'), ('user-2', 'user-2@shop.example'),
            ('user-3', 'user-3@shop.example'), ('user-4', 'user-4@shop.example')
        """
    )

    users.handle(\.get) { input, context in
        guard
            let user = try await context.snapshot({ tables in
                try tables.row(UsersAPI.User.self, "SELECT * FROM users WHERE id = \(input.id)")
            })
        else { throw UsersAPI.unknownUser("there is no user '\(input.id)'") }
        return user
    }
}
