#include <sqlite3.h>

// sqlite3_db_config is variadic, which Swift cannot call.

/// Bars writes to the schema tables, shadow tables and PRAGMAs that could damage the file, and double-quoted strings.
static inline int dovetail_sqlite_harden(sqlite3 *db) {
    int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)0);
    if (rc == SQLITE_OK) rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, (int *)0);
    if (rc == SQLITE_OK) rc = sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)0);
    if (rc == SQLITE_OK) rc = sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)0);
    return rc;
}

/// Keeps a connection from checkpointing when it is closed.
static inline int dovetail_sqlite_no_checkpoint_on_close(sqlite3 *db) {
    return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

/// What sqlite3_bind_blob and sqlite3_bind_text take to make them copy.
static inline sqlite3_destructor_type dovetail_sqlite_transient(void) { return SQLITE_TRANSIENT; }
