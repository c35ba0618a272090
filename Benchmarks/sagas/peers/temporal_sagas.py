"""Workflows of three activities on Temporal's development server, 64 at a time: `temporal_sagas.py --port N --seconds N --server PID`."""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
import uuid
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

CUSTOMERS = 64


@activity.defn
async def book_flight(booking: str) -> str:
    return f"flight of {booking}"


@activity.defn
async def book_hotel(booking: str) -> str:
    return f"hotel of {booking}"


@activity.defn
async def charge(booking: str) -> int:
    return len(booking)


@workflow.defn
class Book:
    @workflow.run
    async def run(self, booking: str) -> list:
        limit = timedelta(seconds=30)
        return [
            await workflow.execute_activity(step, booking, start_to_close_timeout=limit)
            for step in (book_flight, book_hotel, charge)]


def cpu(server):
    used = resource.getrusage(resource.RUSAGE_SELF)
    fields = Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()
    return used.ru_utime + used.ru_stime + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def customers(client, seconds):
    latencies = []
    end = time.perf_counter() + seconds

    async def customer(number):
        while time.perf_counter() < end:
            start = time.perf_counter()
            await client.execute_workflow(Book.run, f"{number}", id=str(uuid.uuid4()), task_queue="bench")
            latencies.append((time.perf_counter() - start) * 1000)

    await asyncio.gather(*[customer(number) for number in range(CUSTOMERS)])
    return sorted(latencies)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", required=True)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--server", type=int, required=True)
    options = parser.parse_args()
    client = await Client.connect(f"127.0.0.1:{options.port}")
    async with Worker(
        client, task_queue="bench", workflows=[Book], activities=[book_flight, book_hotel, charge],
        max_concurrent_activities=CUSTOMERS, max_concurrent_workflow_tasks=CUSTOMERS,
    ):
        await customers(client, options.seconds / 4)
        before, start = cpu(options.server), time.perf_counter()
        latencies = await customers(client, options.seconds)
        seconds, processor = time.perf_counter() - start, cpu(options.server) - before
    for metric, value, unit in [
        ("rate", len(latencies) / seconds, "/s"), ("cpu_us", processor * 1e6 / len(latencies), "us"),
        ("p50_ms", latencies[(len(latencies) - 1) // 2], "ms"), ("p99_ms", latencies[(len(latencies) - 1) * 99 // 100], "ms"),
    ]:
        print(json.dumps({"metric": metric, "value": value, "unit": unit}))


if __name__ == "__main__":
    asyncio.run(main())
    # Its core does not always survive the interpreter's end.
    sys.stdout.flush()
    os._exit(0)
