import CSQLite

extension SQLiteConnection {
    /// Copies the whole database, as it is at this moment, into a new file at `path`, while others go on writing.
    ///
    /// One read transaction spans the copy: what is committed meanwhile is not in it, and stays in the write-ahead log until the copy is done. `progress` is told how
    /// much is done, from 0 to 1. Throws ``SQLiteFailure``.
    package func copy(to path: String, progress: (Double) -> Void) throws(SQLiteFailure) {
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(path, &opened, flags, nil)
        defer { sqlite3_close_v2(opened) }
        guard code == SQLITE_OK, let opened else { throw SQLiteFailure(code, opened) }
        try run("BEGIN")
        defer { try? run("ROLLBACK") }
        // The snapshot is taken by the first read.
        _ = try value("SELECT count(*) FROM sqlite_master")
        guard let backup = sqlite3_backup_init(opened, "main", rawHandle, "main") else {
            throw SQLiteFailure(sqlite3_errcode(opened), opened)
        }
        var step = SQLITE_OK
        while step == SQLITE_OK {
            step = sqlite3_backup_step(backup, 4096)
            let (left, all) = (sqlite3_backup_remaining(backup), sqlite3_backup_pagecount(backup))
            if all > 0 { progress(Double(all - left) / Double(all)) }
        }
        let end = sqlite3_backup_finish(backup)
        guard step == SQLITE_DONE, end == SQLITE_OK else {
            throw SQLiteFailure(step == SQLITE_DONE ? end : step, opened)
        }
    }
}
