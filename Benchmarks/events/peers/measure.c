#define _GNU_SOURCE
#include "measure.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint8_t event_data[EVENT_BYTES];

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

struct options read_options(int argc, char **argv) {
    struct options options = {.seconds = 3, .events = 200000, .streams = 100000, .ack_every = 1};
    if (argc < 2) fail("%s: the case is missing", argv[0]);
    options.name = argv[1];
    for (int at = 2; at + 1 < argc; at += 2) {
        const char *option = argv[at], *value = argv[at + 1];
        if (!strcmp(option, "--folder")) options.folder = value;
        else if (!strcmp(option, "--port")) options.port = atoi(value);
        else if (!strcmp(option, "--server")) options.server = atoi(value);
        else if (!strcmp(option, "--seconds")) options.seconds = atof(value);
        else if (!strcmp(option, "--events")) options.events = atol(value);
        else if (!strcmp(option, "--streams")) options.streams = atol(value);
        else if (!strcmp(option, "--ack-every")) options.ack_every = atoi(value);
        else fail("%s: there is no option %s", argv[0], option);
    }
    for (int at = 0; at < EVENT_BYTES; at++) event_data[at] = "{\"orderID\":\"order-000042\"}"[at % 26];
    return options;
}

int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void sleep_until(int64_t time) {
    struct timespec until = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {}
}

// Ids

static uint64_t next_random(void) {
    static uint64_t state;
    if (state == 0) state = (uint64_t)now() * 2654435761u | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void make_id(uint8_t bytes[16]) {
    static uint64_t last;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    uint64_t ticks = ((uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec) / 1000 * 4096 / 1000;
    last = ticks > last ? ticks : last + 1;
    uint64_t high = (last >> 12) << 16 | 0x7000 | (last & 0x0FFF);
    uint64_t low = 0x8000000000000000u | next_random() >> 2;
    for (int at = 0; at < 8; at++) {
        bytes[at] = (uint8_t)(high >> (56 - 8 * at));
        bytes[8 + at] = (uint8_t)(low >> (56 - 8 * at));
    }
}

void make_id_text(char text[ID_BYTES + 1]) {
    uint8_t bytes[16];
    make_id(bytes);
    int at = 0;
    for (int byte = 0; byte < 16; byte++) {
        if (byte == 4 || byte == 6 || byte == 8 || byte == 10) text[at++] = '-';
        text[at++] = "0123456789abcdef"[bytes[byte] >> 4];
        text[at++] = "0123456789abcdef"[bytes[byte] & 15];
    }
    text[at] = 0;
}

// What the scheduler and the memory manager say

static double server_seconds(pid_t server) {
    if (server == 0) return 0;
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", server);
    DIR *tasks = opendir(path);
    if (!tasks) fail("the server (process %d) has ended", server);
    double sum = 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", server, task->d_name);
        FILE *file = fopen(path, "r");
        double nanoseconds = 0;
        if (file && fscanf(file, "%lf", &nanoseconds) == 1) sum += nanoseconds / 1e9;
        if (file) fclose(file);
    }
    closedir(tasks);
    return sum;
}

static double processor_seconds(pid_t server) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9 + server_seconds(server);
}

static double resident_megabytes(pid_t server) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", server ? server : getpid());
    FILE *file = fopen(path, "r");
    long size = 0, resident = 0;
    if (!file || fscanf(file, "%ld %ld", &size, &resident) != 2) fail("%s cannot be read", path);
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

// The measurement

static int64_t started;
static double processor_before;
static int64_t *latencies;
static size_t latency_count, latency_room;

void begin(const struct options *options) {
    latency_count = 0;
    processor_before = processor_seconds(options->server);
    started = now();
}

void record(int64_t latency) {
    if (latency_count == latency_room) {
        latency_room = latency_room ? latency_room * 2 : 65536;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (!latencies) fail("no memory for latencies");
    }
    latencies[latency_count++] = latency;
}

static int compare(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static void line(const char *metric, double value, const char *unit) {
    printf("{\"metric\":\"%s\",\"value\":%.6f,\"unit\":\"%s\"}\n", metric, value, unit);
}

void report(const struct options *options, long events, int has_rate) {
    double seconds = (double)(now() - started) / 1e9;
    double processor = processor_seconds(options->server) - processor_before;
    if (events == 0) fail("nothing happened in %f s", seconds);
    if (has_rate) line("rate", (double)events / seconds, "/s");
    line("cpu_us", processor * 1e6 / (double)events, "us");
    if (latency_count) {
        qsort(latencies, latency_count, sizeof *latencies, compare);
        line("p50_ms", (double)latencies[(latency_count - 1) / 2] / 1e6, "ms");
        line("p99_ms", (double)latencies[(size_t)((double)(latency_count - 1) * 0.99)] / 1e6, "ms");
    }
    line("rss_mb", resident_megabytes(options->server), "MB");
}
