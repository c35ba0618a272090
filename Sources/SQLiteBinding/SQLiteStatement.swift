import CSQLite
import DovetailEvents

/// A compiled statement. Belongs to its connection's thread; owns the `sqlite3_stmt` and finalizes it when it goes away.
package final class SQLiteStatement {
    private let pointer: OpaquePointer
    private var known: (columns: SQLColumns, recompiled: Int32)?

    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        sqlite3_finalize(pointer)
    }

    /// How many values it takes.
    package var parameterCount: Int { Int(sqlite3_bind_parameter_count(pointer)) }
    /// How many columns it returns; 0 for a statement that returns none.
    package var columnCount: Int { Int(sqlite3_column_count(pointer)) }

    // MARK: Values in (indices from 1, as SQLite has it)

    package func bind(_ index: Int32, _ value: Int64) {
        sqlite3_bind_int64(pointer, index, value)
    }

    package func bindNull(_ index: Int32) {
        sqlite3_bind_null(pointer, index)
    }

    package func bind(_ index: Int32, _ text: String) {
        var text = text
        text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                _ = sqlite3_bind_text64(
                    pointer, index, characters.baseAddress ?? SQLiteStatement.empty, UInt64(characters.count),
                    dovetail_sqlite_transient(), UInt8(SQLITE_UTF8))
            }
        }
    }

    package func bind(_ index: Int32, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bind(index, $0) }
    }

    package func bind(_ index: Int32, _ bytes: UnsafeRawBufferPointer) {
        // A null pointer would bind NULL; an empty blob is a value.
        if bytes.isEmpty {
            sqlite3_bind_zeroblob(pointer, index, 0)
        } else {
            sqlite3_bind_blob64(
                pointer, index, bytes.baseAddress, UInt64(bytes.count), dovetail_sqlite_transient())
        }
    }

    package func bind(_ index: Int32, _ value: SQLValue) {
        switch value {
        case .null: bindNull(index)
        case .integer(let number): bind(index, number)
        case .real(let number): sqlite3_bind_double(pointer, index, number)
        case .text(let text): bind(index, text)
        case .blob(let bytes): bind(index, bytes)
        }
    }

    private nonisolated(unsafe) static let empty: UnsafePointer<CChar> = {
        let byte = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
        byte.initialize(to: 0)
        return UnsafePointer(byte)
    }()

    // MARK: Steps

    /// Takes a step: true for a row, false at the end.
    package func step() throws(SQLiteFailure) -> Bool {
        switch sqlite3_step(pointer) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw SQLiteFailure(code, sqlite3_db_handle(pointer))
        }
    }

    /// Makes it ready for another run and lets go of what it read.
    package func reset() {
        sqlite3_reset(pointer)
    }

    /// Takes the only step of a statement that returns no rows, and resets it.
    package func run() throws(SQLiteFailure) {
        defer { sqlite3_reset(pointer) }
        while try step() {}
    }

    /// Lets go of the values, so that a statement at rest keeps no payload alive.
    func clear() {
        sqlite3_reset(pointer)
        sqlite3_clear_bindings(pointer)
    }

    // MARK: Values out (indices from 0)

    package func integer(_ index: Int32) -> Int64 {
        sqlite3_column_int64(pointer, index)
    }

    package func isNull(_ index: Int32) -> Bool {
        sqlite3_column_type(pointer, index) == SQLITE_NULL
    }

    package func text(_ index: Int32) -> String {
        guard let characters = sqlite3_column_text(pointer, index) else { return "" }
        let count = Int(sqlite3_column_bytes(pointer, index))
        return String(decoding: UnsafeBufferPointer(start: characters, count: count), as: UTF8.self)
    }

    /// The bytes of a column; they are SQLite's and valid within `body` only.
    package func withBytes<Result>(_ index: Int32, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let start = sqlite3_column_blob(pointer, index)
        return body(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(pointer, index))))
    }

    package func bytes(_ index: Int32) -> [UInt8] {
        withBytes(index) { [UInt8]($0) }
    }

    /// The current row.
    func row() -> SQLRow {
        let count = Int32(columnCount)
        var values: [SQLValue] = []
        values.reserveCapacity(Int(count))
        for index in 0..<count {
            switch sqlite3_column_type(pointer, index) {
            case SQLITE_INTEGER: values.append(.integer(integer(index)))
            case SQLITE_FLOAT: values.append(.real(sqlite3_column_double(pointer, index)))
            case SQLITE_TEXT: values.append(.text(text(index)))
            case SQLITE_BLOB: values.append(.blob(bytes(index)))
            default: values.append(.null)
            }
        }
        return SQLRow(columns: columns(), values: values)
    }

    /// The columns' names, read again when SQLite compiled the statement anew because a table had changed.
    private func columns() -> SQLColumns {
        let recompiled = sqlite3_stmt_status(pointer, SQLITE_STMTSTATUS_REPREPARE, 0)
        if let known, known.recompiled == recompiled { return known.columns }
        let names = (0..<Int32(columnCount)).map { index in
            sqlite3_column_name(pointer, index).map { String(cString: $0) } ?? ""
        }
        let columns = SQLColumns(names)
        known = (columns, recompiled)
        return columns
    }
}
