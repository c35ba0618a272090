// The floor: a bare loop over SQLite with Dovetail's schema and batches (64 or 512 events a commit), one thread, no waiters.
#include "measure.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 0;"
    "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
    "CREATE TABLE dovetail_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE dovetail_log ("
    "  position INTEGER PRIMARY KEY, type INTEGER NOT NULL, stream INTEGER, version INTEGER,"
    "  committed_at INTEGER NOT NULL, checksum INTEGER NOT NULL, id BLOB NOT NULL, key TEXT NOT NULL,"
    "  attributes BLOB NOT NULL, data BLOB NOT NULL);"
    "CREATE UNIQUE INDEX dovetail_log_id ON dovetail_log (id);"
    "CREATE UNIQUE INDEX dovetail_log_stream ON dovetail_log (stream, version) WHERE stream IS NOT NULL;"
    "CREATE TABLE dovetail_streams ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, floor INTEGER NOT NULL);"
    "INSERT INTO dovetail_meta VALUES ('position', 0), ('cursor', 0);";

enum { CHECKPOINT_PAGES = 1500, FILL_BATCH = 4096 };

static struct options options;
static sqlite3 *database;
static int wal_pages;
static sqlite3_stmt *begin_statement, *commit_statement, *insert, *save_position, *save_cursor, *find_stream,
    *save_stream, *page;
static int64_t position, streams;
static int64_t *versions;  // of the streams, by id
static char (*names)[64];  // of the streams

static void check(int code) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) fail("sqlite: %s", sqlite3_errmsg(database));
}

static void run(sqlite3_stmt *statement) {
    check(sqlite3_step(statement));
    check(sqlite3_reset(statement));
}

static sqlite3_stmt *prepare(const char *text) {
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v3(database, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
    return statement;
}

static int count_pages(void *context, sqlite3 *handle, const char *name, int pages) {
    (void)context, (void)handle, (void)name;
    wal_pages = pages;
    return SQLITE_OK;
}

static void open_store(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/loop.db", options.folder);
    check(sqlite3_open_v2(
        path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
    check(sqlite3_exec(database, schema, NULL, NULL, NULL));
    sqlite3_wal_hook(database, count_pages, NULL);
    begin_statement = prepare("BEGIN IMMEDIATE");
    commit_statement = prepare("COMMIT");
    insert = prepare(
        "INSERT INTO dovetail_log (position, type, stream, version, committed_at, checksum, id, key, attributes, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING");
    save_position = prepare("UPDATE dovetail_meta SET value = ? WHERE name = 'position'");
    save_cursor = prepare("UPDATE dovetail_meta SET value = ? WHERE name = 'cursor'");
    find_stream = prepare("SELECT id, version FROM dovetail_streams WHERE name = ?");
    save_stream = prepare(
        "INSERT INTO dovetail_streams (id, name, version, floor) VALUES (?, ?, ?, 0)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version");
    page = prepare("SELECT * FROM dovetail_log WHERE position > ? ORDER BY position LIMIT 512");
}

static void append(int64_t stream, int64_t version) {
    uint8_t id[16];
    char key[32];
    make_id(id);
    int key_size = snprintf(key, sizeof key, "order-%d", (int)(position % 1000));
    sqlite3_bind_int64(insert, 1, ++position);
    sqlite3_bind_int64(insert, 2, 1);
    if (stream) {
        sqlite3_bind_int64(insert, 3, stream);
        sqlite3_bind_int64(insert, 4, version);
    } else {
        sqlite3_bind_null(insert, 3);
        sqlite3_bind_null(insert, 4);
    }
    sqlite3_bind_int64(insert, 5, now() / 1000);
    sqlite3_bind_int64(insert, 6, position * 2654435761 & 0xFFFFFFFF);
    sqlite3_bind_blob(insert, 7, id, sizeof id, SQLITE_STATIC);
    sqlite3_bind_text(insert, 8, key, key_size, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 9, "", 0, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 10, event_data, EVENT_BYTES, SQLITE_STATIC);
    run(insert);
    if (sqlite3_changes(database) != 1) fail("sqlite: an event was not inserted");
}

static void save(int64_t stream) {
    sqlite3_bind_int64(save_stream, 1, stream);
    sqlite3_bind_text(save_stream, 2, names[stream], -1, SQLITE_STATIC);
    sqlite3_bind_int64(save_stream, 3, versions[stream]);
    run(save_stream);
}

static void append_published(void) { append(0, 0); }

static void make_room(void) {
    static int64_t room;
    if (streams + 1 < room) return;
    room = room ? room * 2 : 65536;
    versions = realloc(versions, (size_t)room * sizeof *versions);
    names = realloc(names, (size_t)room * sizeof *names);
    if (!versions || !names) fail("no memory");
}

static void append_to_new_stream(int is_random) {
    make_room();
    int64_t stream = ++streams;
    if (is_random) {
        snprintf(names[stream], sizeof names[stream], "order-%08x", (unsigned)(stream * 2654435761));
    } else {
        char id[ID_BYTES + 1];
        make_id_text(id);
        snprintf(names[stream], sizeof names[stream], "order-%s", id);
    }
    sqlite3_bind_text(find_stream, 1, names[stream], -1, SQLITE_STATIC);
    if (sqlite3_step(find_stream) != SQLITE_DONE) fail("sqlite: a new stream is there already");
    check(sqlite3_reset(find_stream));
    versions[stream] = 1;
    append(stream, 1);
    save(stream);
}

static void append_to_new_stream_in_order(void) { append_to_new_stream(0); }
static void append_to_new_random_stream(void) { append_to_new_stream(1); }

static void append_to_old_stream(void) {
    int64_t stream = 1 + (int64_t)(random() % streams);
    append(stream, ++versions[stream]);
    save(stream);
}

static void commit(void) {
    sqlite3_bind_int64(save_position, 1, position);
    run(save_position);
    run(commit_statement);
    if (wal_pages >= CHECKPOINT_PAGES) {
        int pages, moved;
        check(sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved));
        wal_pages = 0;
    }
}

// Appends in batches, until `end` or until there are `quota`.
static long append_all(int batch, void (*one)(void), int64_t end, long quota) {
    long done = 0;
    while (done < quota) {
        int64_t start = now();
        if (start >= end) break;
        run(begin_statement);
        int count = 0;
        for (; count < batch && done < quota; count++, done++) one();
        commit();
        int64_t time = now() - start;
        for (int at = 0; at < count; at++) record(time);
    }
    return done;
}

static void measure_appending(int batch, void (*one)(void)) {
    append_all(batch, one, now() + (int64_t)(options.seconds / 4 * 1e9), INT64_MAX);
    begin(&options);
    long events = append_all(batch, one, now() + (int64_t)(options.seconds * 1e9), INT64_MAX);
    report(&options, events, 1);
}

// Reads pages of 512 and writes the cursor every 50 ms, as a subscription does.
static void measure_consuming(void) {
    append_all(FILL_BATCH, append_published, INT64_MAX, options.events);
    begin(&options);
    int64_t cursor = 0, saved = 0, saved_at = now();
    while (saved < options.events) {
        sqlite3_bind_int64(page, 1, cursor);
        while (sqlite3_step(page) == SQLITE_ROW) {
            const void *data = sqlite3_column_blob(page, 9);
            if (sqlite3_column_bytes(page, 9) != EVENT_BYTES || memcmp(data, event_data, EVENT_BYTES) != 0) {
                fail("sqlite: an event is not what was written");
            }
            cursor = sqlite3_column_int64(page, 0);
        }
        check(sqlite3_reset(page));
        if (cursor == options.events || now() - saved_at > 50000000) {
            sqlite3_bind_int64(save_cursor, 1, cursor);
            run(save_cursor);
            saved = cursor;
            saved_at = now();
        }
    }
    report(&options, options.events, 1);
}

int main(int argc, char **argv) {
    options = read_options(argc, argv);
    if (!options.folder) fail("sqlite: --folder is missing");
    open_store();
    if (!strcmp(options.name, "publish-64x1")) measure_appending(64, append_published);
    else if (!strcmp(options.name, "publish-64x8")) measure_appending(512, append_published);
    else if (!strcmp(options.name, "append-new-streams")) measure_appending(512, append_to_new_stream_in_order);
    else if (!strcmp(options.name, "append-random")) {
        append_all(FILL_BATCH, append_to_new_random_stream, INT64_MAX, options.streams);
        measure_appending(512, append_to_old_stream);
    } else if (!strcmp(options.name, "consume-raw")) measure_consuming();
    else fail("there is no case %s for sqlite", options.name);
    sqlite3_close_v2(database);
    return 0;
}
