// The cases, over any broker: as many events in flight as events-bench has, on one connection, which costs a broker least.
#include "broker.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PREFETCH = 512 };

static struct options options;

static long publish(struct connection *connection, int window, int64_t end, long quota) {
    int64_t *starts = malloc((size_t)window * sizeof *starts);
    if (!starts) fail("no memory");
    long sent = 0, done = 0;
    int is_over = 0;
    while (1) {
        while (!is_over && sent - done < window) {
            char id[ID_BYTES + 1];
            make_id_text(id);
            int64_t start = now();
            broker_send(connection, id, event_data);
            starts[sent++ % window] = start;
            is_over = start >= end || sent == quota;
        }
        if (done == sent) break;
        int confirmed = broker_confirmed(connection, 1);
        int64_t time = now();
        for (int count = 0; count < confirmed; count++) record(time - starts[done++ % window]);
    }
    free(starts);
    return done;
}

static void measure_publishing(int window) {
    struct connection *connection = broker_open(&options);
    broker_reset(connection);
    broker_start_publishing(connection);
    publish(connection, window, now() + (int64_t)(options.seconds / 4 * 1e9), LONG_MAX);
    begin(&options);
    long events = publish(connection, window, now() + (int64_t)(options.seconds * 1e9), LONG_MAX);
    report(&options, events, 1);
}

static void check(const uint8_t *data, size_t size) {
    if (size != EVENT_BYTES || memcmp(data, event_data, size) != 0) fail("a message is not what was sent");
}

static void measure_consuming(void) {
    struct connection *publisher = broker_open(&options);
    broker_reset(publisher);
    broker_start_publishing(publisher);
    publish(publisher, 4096, INT64_MAX, options.events);
    struct connection *consumer = broker_open(&options);
    begin(&options);
    broker_start_consuming(consumer, PREFETCH);
    long received = 0;
    while (received < options.events) received += broker_receive(consumer, check);
    broker_finish(consumer);
    report(&options, received, 1);
}

// Latency: the time of publishing travels in the event.

static int counts;

static void record_time(const uint8_t *data, size_t size) {
    int64_t sent;
    if (size != EVENT_BYTES) fail("a message is not what was sent");
    memcpy(&sent, data, sizeof sent);
    if (counts) record(now() - sent);
}

static void *publish_at_rate(void *count) {
    struct connection *connection = broker_open(&options);
    broker_start_publishing(connection);
    uint8_t data[EVENT_BYTES] = {0};
    int64_t start = now();
    for (long number = 0; number < *(long *)count; number++) {
        sleep_until(start + number * 1000000);
        char id[ID_BYTES + 1];
        make_id_text(id);
        int64_t time = now();
        memcpy(data, &time, sizeof time);
        broker_send(connection, id, data);
        broker_confirmed(connection, 0);
    }
    return NULL;
}

static void deliver_at_rate(struct connection *consumer, long count) {
    pthread_t publisher;
    if (pthread_create(&publisher, NULL, publish_at_rate, &count) != 0) fail("no thread");
    for (long received = 0; received < count;) received += broker_receive(consumer, record_time);
    pthread_join(publisher, NULL);
}

static void measure_latency(void) {
    struct connection *consumer = broker_open(&options);
    broker_reset(consumer);
    broker_start_consuming(consumer, PREFETCH);
    deliver_at_rate(consumer, 500);
    long count = (long)(options.seconds * 1000);
    begin(&options);
    counts = 1;
    deliver_at_rate(consumer, count);
    report(&options, count, 0);
}

int main(int argc, char **argv) {
    options = read_options(argc, argv);
    if (!strcmp(options.name, "publish-64x1")) measure_publishing(64);
    else if (!strcmp(options.name, "publish-64x8")) measure_publishing(512);
    else if (!strcmp(options.name, "consume-raw")) measure_consuming();
    else if (!strcmp(options.name, "latency-1000")) measure_latency();
    else fail("there is no case %s for brokers", options.name);
    return 0;
}
