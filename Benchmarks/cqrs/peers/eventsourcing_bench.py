"""The cases of `scripts/bench/cqrs` with the Python library eventsourcing on SQLite: commands, loading, a read model.

`eventsourcing_bench.py CASE --folder PATH [--seconds N] [--events N]`; prints one object a line. One thread: the library's SQLite recorder
commits each save by itself (WAL, synchronous FULL), and Python runs one thread at a time.
"""

import argparse
import json
import os
import resource
import sqlite3
import time

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Tally(Aggregate):
    @event("Begun")
    def __init__(self, note):
        self.sum = 0
        self.count = 1

    @event("Added")
    def add(self, amount, note):
        self.sum += amount
        self.count += 1


NOTE = "x" * 22  # As much payload as Dovetail's events of 64 bytes: the library puts its own fields beside it.


def application(folder, **environment):
    class Tallies(Application):
        is_snapshotting_enabled = environment.pop("snapshots", False)
        log_section_size = 1000

    return Tallies(env={
        "PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": os.path.join(folder, "events.db"), **environment})


def measured(seconds, work):
    """Calls `work` again and again; how often, in how long, and how long each took."""
    end, latencies = time.perf_counter() + seconds, []
    processor, begin = time.process_time(), time.perf_counter()
    start = begin
    while start < end:
        work()
        now = time.perf_counter()
        latencies.append(now - start)
        start = now
    return len(latencies), time.perf_counter() - begin, time.process_time() - processor, latencies


def command_distinct(options):
    app = application(options.folder)
    return measured(options.seconds, lambda: app.save(Tally(NOTE)))


def command_hot(options):
    app = application(options.folder, AGGREGATE_CACHE_MAXSIZE="100", DEEPCOPY_FROM_AGGREGATE_CACHE="n")
    tally = Tally(NOTE)
    app.save(tally)

    def command():
        hot = app.repository.get(tally.id)
        hot.add(7, NOTE)
        app.save(hot)

    return measured(options.seconds, command)


def filled(app):
    tally = Tally(NOTE)
    for _ in range(999):
        tally.add(7, NOTE)
    app.save(tally)
    return tally.id


def loading(options, **environment):
    app = application(options.folder, **environment)
    identifier = filled(app)
    if environment.get("snapshots"):
        app.take_snapshot(identifier)
    app.repository.get(identifier)

    def load():
        if app.repository.get(identifier).count != 1000:
            raise SystemExit("an event is missing")

    return measured(options.seconds, load)


def rebuild(options):
    """Reads the notification log from its beginning, decodes each event, and counts it in a table, a thousand to a commit with the place reached."""
    app = application(options.folder)
    count = 0
    while count < options.events:
        tallies = [Tally(NOTE) for _ in range(100)]
        for tally in tallies:
            for _ in range(9):
                tally.add(7, NOTE)
        app.save(*tallies)
        count += 1000
    views = sqlite3.connect(os.path.join(options.folder, "views.db"), isolation_level=None)
    views.execute("PRAGMA journal_mode=WAL")
    views.execute("PRAGMA synchronous=NORMAL")
    views.execute("CREATE TABLE sums (id TEXT PRIMARY KEY, sum INTEGER NOT NULL, n INTEGER NOT NULL)")
    views.execute("CREATE TABLE cursor (name TEXT PRIMARY KEY, position INTEGER NOT NULL)")
    processor, begin = time.process_time(), time.perf_counter()
    position = 0
    while True:
        notifications = app.notification_log.select(start=position + 1, limit=1000)
        if not notifications:
            break
        views.execute("BEGIN")
        for notification in notifications:
            happened = app.mapper.to_domain_event(notification)
            views.execute(
                "INSERT INTO sums VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET sum = sum + excluded.sum, n = n + 1",
                (str(happened.originator_id)[-3:], getattr(happened, "amount", 0)))
            position = notification.id
        views.execute("INSERT INTO cursor VALUES ('sums', ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position",
                      (position,))
        views.execute("COMMIT")
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    if views.execute("SELECT sum(n) FROM sums").fetchone()[0] != count:
        raise SystemExit("an event is missing")
    return count, seconds, processor, []


CASES = {
    "command-distinct": command_distinct,
    "command-hot": command_hot,
    "load-1000": loading,
    "load-1000-snapshot": lambda options: loading(options, snapshots=True),
    "load-1000-cached": lambda options: loading(
        options, AGGREGATE_CACHE_MAXSIZE="100", AGGREGATE_CACHE_FASTFORWARD="n", DEEPCOPY_FROM_AGGREGATE_CACHE="n"),
    "rebuild": rebuild,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--events", type=int, default=400_000)
    options = parser.parse_args()
    count, seconds, processor, latencies = CASES[options.case](options)

    def line(metric, value, unit):
        print(json.dumps({"metric": metric, "value": value, "unit": unit}))

    line("rate", count / seconds, "/s")
    line("cpu_us", processor * 1e6 / count, "us")
    if latencies:
        latencies.sort()
        line("p50_ms", latencies[int((len(latencies) - 1) * 0.5)] * 1e3, "ms")
        line("p99_ms", latencies[int((len(latencies) - 1) * 0.99)] * 1e3, "ms")
    line("rss_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")


if __name__ == "__main__":
    main()
