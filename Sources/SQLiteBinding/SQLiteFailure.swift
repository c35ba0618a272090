import CSQLite
import DovetailEvents
import Foundation

/// A result code of SQLite, with what the connection says of it.
package struct SQLiteFailure: Error {
    /// The extended result code.
    package let code: Int32
    /// SQLite's own words.
    package let words: String
    /// Whether the system said that there is no space: SQLite reports some of those as I/O errors.
    package let isOutOfSpace: Bool

    init(_ code: Int32, _ handle: OpaquePointer?) {
        self.code = code
        words = handle.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        isOutOfSpace = handle.map { sqlite3_system_errno($0) == ENOSPC } ?? false
    }

    /// The code without its extension.
    package var primary: Int32 { code & 0xFF }

    /// Whether the disk has no room; nothing of the transaction remains.
    package var isFull: Bool { primary == SQLITE_FULL || (primary == SQLITE_IOERR && isOutOfSpace) }

    /// Whether the disk failed, so that nothing that the connection believes can be relied on.
    package var isDiskFailure: Bool {
        (primary == SQLITE_IOERR && !isOutOfSpace) || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB
    }

    /// The failure as a caller sees it; `subject` is the store or the statement.
    package func error(_ subject: String) -> LogError {
        if isFull {
            return LogError(
                .storeFull, subject, "the disk is full; nothing was written. Free some space: publishing then resumes")
        }
        switch primary {
        case SQLITE_READONLY:
            return LogError(
                .readOnly, subject, "it cannot be written (\(words)); check the permissions of the folder and its files"
            )
        case SQLITE_PERM, SQLITE_CANTOPEN:
            return LogError(.readOnly, subject, "it cannot be opened (\(words)); check that its folder can be written")
        case SQLITE_BUSY, SQLITE_LOCKED:
            return LogError(.locked, subject, "another process holds it (\(words)); only one may have it open")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            return LogError(.unreadable, subject, "it is damaged, or is no store (\(words)); restore it from a backup")
        case SQLITE_IOERR:
            return LogError(.stopped, subject, "the disk failed (\(words), code \(code)); nothing of this was written")
        case SQLITE_AUTH:
            return LogError(.forbidden, subject, words)
        default:
            return LogError(.statement, subject, words)
        }
    }
}
