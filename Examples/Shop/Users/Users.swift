import Dovetail

/// The customers.
let users = Module("users", provides: UsersAPI()) { users in
    users.tables(
        "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL)",
        """
        INSERT INTO users (id, email)
        VALUES ('user-1', 'user-1@shop.example'), ('user-2', 'user-2@shop.example'),
            ('user-3', 'user-3@shop.example'), ('user-4', 'user-4@shop.example')
        """,
        "CREATE TABLE mails (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, subject TEXT NOT NULL)",
        "CREATE INDEX mails_by_user ON mails (user_id)",
        "ALTER TABLE users DROP COLUMN email",
        "ALTER TABLE users ADD COLUMN email TEXT"
    )

    // Sealed under the customer's own key, in the table and in the event: `shop privacy forget user-1` makes both unreadable.
    users.handle(\.changeEmail) { input, context in
        guard context.principal?.subject == input.id else {
            throw UsersAPI.notYours("only your own address is changed by you")
        }
        let email = Personal(input.email, of: input.id)
        try await context.transaction { tables in
            try tables.execute("UPDATE users SET email = \(email) WHERE id = \(input.id)")
            try tables.publish(UsersAPI().emailChanged(.init(userID: input.id, email: email)))
        }
        return Empty()
    }

    users.handle(\.forget) { input, context in
        guard context.principal?.subject == input.id else {
            throw UsersAPI.notYours("only you have yourself forgotten")
        }
        try await context.forget(input.id, reason: "asked by the customer")
        return Empty()
    }

    // Each order is acknowledged by mail. Orders do not know of it, and need not wait.
    users.subscribe("acknowledge", to: OrdersAPI().created) { order, context in
        let subject = "We have your order \(order.orderID)"
        try await context.once { tables in  // if the event comes again, this does not
            try tables.execute("INSERT INTO mails VALUES (\(context.newID), \(order.userID), \(subject))")
        }
    }

    users.handle(\.mails) { input, context in
        guard context.principal?.subject == input.id else {
            throw UsersAPI.notYours("only your own mail is shown to you")
        }
        return try await context.snapshot { tables in
            .init(
                mails: try tables.rows(
                    UsersAPI.Mail.self,
                    """
                    SELECT id, subject FROM mails WHERE user_id = \(input.id) AND id > \(input.after ?? "")
                    ORDER BY id LIMIT \(input.limit ?? 50)
                    """))
        }
    }

    users.handle(\.get) { input, context in
        guard
            let user = try await context.snapshot({ tables in
                try tables.row(UsersAPI.User.self, "SELECT * FROM users WHERE id = \(input.id)")
            })
        else { throw UsersAPI.unknownUser("there is no user '\(input.id)'") }
        return user
    }
}
