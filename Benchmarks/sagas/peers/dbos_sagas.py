"""Workflows of three steps on DBOS with SQLite, 64 at a time: `dbos_sagas.py --folder PATH --seconds N [--threads]`."""

import argparse
import asyncio
import concurrent.futures
import json
import logging
import resource
import sys
import time

from dbos import DBOS

CUSTOMERS = 64


@DBOS.step()
async def book_flight(booking):
    return f"flight of {booking}"


@DBOS.step()
async def book_hotel(booking):
    return f"hotel of {booking}"


@DBOS.step()
async def charge(booking):
    return len(booking)


@DBOS.workflow()
async def book(booking):
    return [await book_flight(booking), await book_hotel(booking), await charge(booking)]


@DBOS.step()
def book_flight_in_thread(booking):
    return f"flight of {booking}"


@DBOS.step()
def book_hotel_in_thread(booking):
    return f"hotel of {booking}"


@DBOS.step()
def charge_in_thread(booking):
    return len(booking)


@DBOS.workflow()
def book_in_thread(booking):
    return [book_flight_in_thread(booking), book_hotel_in_thread(booking), charge_in_thread(booking)]


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def report(latencies, seconds, processor):
    latencies.sort()
    for metric, value, unit in [
        ("rate", len(latencies) / seconds, "/s"), ("cpu_us", processor * 1e6 / len(latencies), "us"),
        ("p50_ms", latencies[(len(latencies) - 1) // 2], "ms"), ("p99_ms", latencies[(len(latencies) - 1) * 99 // 100], "ms"),
    ]:
        print(json.dumps({"metric": metric, "value": value, "unit": unit}))


async def asynchronous(seconds):
    async def customer(number, end, latencies):
        asked = 0
        while time.perf_counter() < end:
            asked += 1
            start = time.perf_counter()
            handle = await DBOS.start_workflow_async(book, f"{number}-{asked}")
            await handle.get_result(polling_interval_sec=0.01)
            latencies.append((time.perf_counter() - start) * 1000)

    async def customers(seconds):
        latencies = []
        end = time.perf_counter() + seconds
        await asyncio.gather(*[customer(number, end, latencies) for number in range(CUSTOMERS)])
        return latencies

    await customers(seconds / 4)
    before, start = cpu(), time.perf_counter()
    latencies = await customers(seconds)
    report(latencies, time.perf_counter() - start, cpu() - before)


def threaded(seconds):
    def customer(number, end):
        latencies = []
        while time.perf_counter() < end:
            start = time.perf_counter()
            book_in_thread(f"{number}-{len(latencies)}")
            latencies.append((time.perf_counter() - start) * 1000)
        return latencies

    def customers(seconds):
        end = time.perf_counter() + seconds
        with concurrent.futures.ThreadPoolExecutor(CUSTOMERS) as pool:
            return [time for part in pool.map(lambda number: customer(number, end), range(CUSTOMERS)) for time in part]

    customers(seconds / 4)
    before, start = cpu(), time.perf_counter()
    latencies = customers(seconds)
    report(latencies, time.perf_counter() - start, cpu() - before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--threads", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    DBOS(config={
        "name": "bench", "system_database_url": f"sqlite:///{options.folder}/dbos.sqlite", "run_admin_server": False,
        "log_level": "CRITICAL"})
    DBOS.launch()
    if options.threads:
        threaded(options.seconds)
    else:
        asyncio.run(asynchronous(options.seconds))
    DBOS.destroy()
    sys.stdout.flush()


if __name__ == "__main__":
    main()
