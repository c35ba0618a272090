import DovetailCore
import DovetailEvents

extension EventLogConformance {
    private struct Refusal: Error {}

    private static func makeTable(_ database: any Database) async throws {
        _ = try await database.transaction { transaction in
            try transaction.execute("CREATE TABLE things (id TEXT PRIMARY KEY, amount BIGINT NOT NULL)")
        }
    }

    private static func count(_ database: any Database) async throws -> Int {
        try await database.snapshot { try $0.row(Int.self, "SELECT count(*) FROM things") ?? -1 }
    }

    static let transactions: [ConformanceCheck] = [
        ConformanceCheck("rows and events of a transaction are there together once it returns") { store in
            let log = store.log
            try await makeTable(log)
            let position = try await log.transaction { transaction in
                try transaction.execute("INSERT INTO things VALUES (\("a"), \(1))")
                return try transaction.append(Append(stream: "s", expected: .exactly(0), events: [draft("s")])).position
            }
            try expectEqual(log.head, position.number, "the head")
            try expectEqual(try await count(log), 1, "rows")
            try expectEqual(try await log.stream("s", after: 0, limit: 10).count, 1, "events")
        },
        ConformanceCheck("a transaction that throws leaves neither rows nor events, and its error reaches the caller") {
            store in
            let log = store.log
            try await makeTable(log)
            do {
                try await log.transaction { transaction in
                    try transaction.execute("INSERT INTO things VALUES ('a', 1)")
                    try transaction.append(Append(stream: "s", events: [draft("s"), draft("s")]))
                    try transaction.append(Append(events: [draft("p")]))
                    throw Refusal()
                }
                throw ConformanceFailure(description: "the transaction has returned")
            } catch is Refusal {}
            try expectEqual(log.head, 0, "the head")
            try expectEqual(try await count(log), 0, "rows")
            let appended = try await log.append([Append(stream: "s", expected: .exactly(0), events: [draft("s")])])
            try expectEqual(appended.position.number, 1, "the first number is free still")
        },
        ConformanceCheck("a conflict inside a transaction can be caught, and the transaction goes on") { store in
            let log = store.log
            try await makeTable(log)
            try await log.transaction { transaction in
                try transaction.append(Append(stream: "s", expected: .exactly(0), events: [draft("s")]))
                do {
                    try transaction.append(
                        Append(stream: "s", expected: .exactly(0), events: [draft("s"), draft("s")]))
                    throw ConformanceFailure(description: "a wrong version was taken")
                } catch let error as LogError where error.code == .versionConflict {}
                try transaction.append(Append(stream: "s", expected: .exactly(1), events: [draft("s")]))
                try transaction.execute("INSERT INTO things VALUES ('a', 1)")
            }
            try expectEqual(
                try await log.stream("s", after: 0, limit: 10).compactMap(\.stream?.version), [1, 2], "versions")
            try expectEqual(try await count(log), 1, "rows")
        },
        ConformanceCheck("a duplicate inside a transaction is a success that changes nothing") { store in
            let known = draft("s")
            _ = try await store.log.append([Append(stream: "s", events: [known])])
            let appended = try await store.log.transaction { try $0.append(Append(stream: "s", events: [known])) }
            try expect(appended.wasDuplicate, "it is a duplicate")
            try expectEqual(store.log.head, 1, "the head")
        },
        ConformanceCheck("transactions happen one after the other") { store in
            let log = store.log
            try await makeTable(log)
            _ = try await log.transaction { try $0.execute("INSERT INTO things VALUES ('n', 0)") }
            try await withThrowingTaskGroup { group in
                for _ in 0..<100 {
                    group.addTask {
                        try await log.transaction { transaction in
                            let amount = try transaction.row(Int.self, "SELECT amount FROM things WHERE id = 'n'") ?? -1
                            try transaction.execute("UPDATE things SET amount = \(amount + 1) WHERE id = 'n'")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let amount = try await log.snapshot { try $0.row(Int.self, "SELECT amount FROM things") }
            try expectEqual(amount, 100, "the count")
        },
        ConformanceCheck("a failing statement is an error with the transaction still usable") { store in
            let log = store.log
            try await makeTable(log)
            try await log.transaction { transaction in
                let changed = try transaction.execute("INSERT INTO things VALUES ('a', 1), ('b', 2)")
                try expectEqual(changed, 2, "rows changed")
                for bad in ["INSERT INTO things VALUES ('a', 3)", "SELEC", "SELECT * FROM nothing", "SELECT ?"] as [SQL]
                {
                    do {
                        _ = try transaction.rows(Int.self, bad)
                        throw ConformanceFailure(description: "'\(bad.text)' has succeeded")
                    } catch let error as LogError {
                        try expectEqual(error.code, .statement, "'\(bad.text)'")
                    }
                }
                try expectEqual(try transaction.execute("DELETE FROM things WHERE id = 'zzz'"), 0, "rows changed")
                try transaction.execute("INSERT INTO things VALUES ('c', 3)")
            }
            try expectEqual(try await count(log), 3, "rows")
        },
        ConformanceCheck(
            "a module's transaction cannot end transactions, leave its database or touch the engine's tables"
        ) { store in
            try await store.log.transaction("prepare", as: .engine) { transaction in
                try transaction.execute("CREATE TABLE dovetail_probe (id BIGINT)")
                try transaction.execute("CREATE TABLE own (id BIGINT)")
            }
            let forbidden: [SQL] = [
                "COMMIT", "ROLLBACK", "END", "BEGIN", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a",
                "ATTACH ':memory:' AS other",
                "DETACH main", "PRAGMA foreign_keys = OFF", "PRAGMA synchronous",
                "INSERT INTO dovetail_probe VALUES (1)",
                "UPDATE DOVETAIL_probe SET id = 1", "DELETE FROM \"dovetail_probe\"", "DROP TABLE dovetail_probe",
                "CREATE TABLE Dovetail_mine (id BIGINT)", "CREATE INDEX mine ON dovetail_probe (id)",
                "CREATE TEMP TABLE dovetail_probe (id BIGINT)", "ALTER TABLE dovetail_probe ADD COLUMN more BIGINT",
                "WITH x AS (SELECT 1) INSERT INTO dovetail_probe SELECT * FROM x",
            ]
            for database in [store.log, try store.views("shop")] as [any Database] {
                for sql in forbidden where database is any EventLog || !sql.text.lowercased().contains("probe") {
                    try await expectFailure(.forbidden, sql.text) {
                        try await database.transaction { try $0.execute(sql) }
                    }
                }
            }
            try await expectFailure(.forbidden, "a trigger that writes the engine's table") {
                try await store.log.transaction { transaction in
                    try transaction.execute(
                        "CREATE TRIGGER sly AFTER INSERT ON own BEGIN INSERT INTO dovetail_probe VALUES (1); END")
                    try transaction.execute("INSERT INTO own VALUES (1)")
                }
            }
            for sql in ["COMMIT", "PRAGMA synchronous", "SAVEPOINT a"] as [SQL] {
                try await expectFailure(.forbidden, "\(sql.text) by the engine") {
                    try await store.log.transaction("engine", as: .engine) { try $0.execute(sql) }
                }
            }
            let rows = try await store.log.snapshot { try $0.row(Int.self, "SELECT count(*) FROM dovetail_probe") }
            try expectEqual(rows, 0, "rows in the engine's table")
        },
        ConformanceCheck("a snapshot cannot write") { store in
            try await makeTable(store.log)
            for sql in ["INSERT INTO things VALUES ('a', 1) RETURNING id", "DELETE FROM things", "DROP TABLE things"]
                as [SQL]
            {
                try await expectFailure(.forbidden, sql.text) {
                    try await store.log.snapshot { try $0.rows(String.self, sql) }
                }
            }
            try expectEqual(try await count(store.log), 0, "rows")
        },
        ConformanceCheck("values are bound as they are and come back so") { store in
            let nasty = "'; DROP TABLE things; --"
            try await makeTable(store.log)
            let rows = try await store.log.transaction { transaction in
                try transaction.execute("INSERT INTO things VALUES (\(nasty), \(Int64.min))")
                return try transaction.rows(String.self, "SELECT id FROM things WHERE amount = \(Int64.min)")
            }
            try expectEqual(rows, [nasty], "the text")
        },
        ConformanceCheck("a query can run inside the rows of the same query") { store in
            try await makeTable(store.log)
            try await store.log.transaction { transaction in
                try transaction.execute("INSERT INTO things VALUES ('a', 1), ('b', 2), ('c', 3)")
                var seen = 0
                try transaction.each("SELECT id FROM things") { _ in
                    try transaction.each("SELECT id FROM things") { _ in
                        seen += 1
                        return true
                    }
                    return true
                }
                try expectEqual(seen, 9, "rows seen")
            }
        },
        ConformanceCheck("read models live in a database of their own that takes no events") { store in
            let views = try store.views("shop")
            try await makeTable(views)
            _ = try await views.transaction { try $0.execute("INSERT INTO things VALUES ('a', 1)") }
            try expectEqual(try await count(try store.views("shop")), 1, "rows")
            try await expectFailure(.forbidden, "an append to read models") {
                try await views.transaction { try $0.append(Append(events: [draft("a")])) }
            }
            try expectEqual(store.log.head, 0, "the head")
        },
        ConformanceCheck("steps of tables are taken once, and a changed step is an error") { store in
            let steps: [SQL] = [
                "CREATE TABLE a (id BIGINT)", "CREATE TABLE b (id BIGINT); CREATE INDEX b_id ON b (id)",
            ]
            let views = try store.views("shop")
            try await views.migrate(Migrations(owner: "shop", steps: [steps[0]]))
            try await views.migrate(Migrations(owner: "shop", steps: steps))
            try await views.migrate(Migrations(owner: "shop", steps: steps))
            try await expectFailure(.unreadable, "a changed step") {
                try await views.migrate(
                    Migrations(owner: "shop", steps: ["CREATE TABLE z (id BIGINT)"] + steps.dropFirst()))
            }
            try await expectFailure(.unreadable, "a program older than the data") {
                try await views.migrate(Migrations(owner: "shop", steps: [steps[0]]))
            }
        },
    ]
}
