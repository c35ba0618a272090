// What all peers share: the command line, the event, clocks, and the report in the form that events-bench prints.
#ifndef MEASURE_H
#define MEASURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { EVENT_BYTES = 256, ID_BYTES = 36 };

struct options {
    const char *name;    // the case
    const char *folder;  // where a file is made
    int port;            // of the server
    pid_t server;        // whose processor time and memory count too; 0 for none
    double seconds;
    long events;
    long streams;
    int ack_every;       // messages that one acknowledgement settles
};

struct options read_options(int argc, char **argv);

// Ends the program with what happened.
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

// Nanoseconds on the monotonic clock.
int64_t now(void);
void sleep_until(int64_t time);

// A UUIDv7 later than all before it, as sixteen bytes and as text.
void make_id(uint8_t bytes[16]);
void make_id_text(char text[ID_BYTES + 1]);

// The event's 256 bytes.
extern uint8_t event_data[EVENT_BYTES];

// One measurement: from begin() to report(); latencies in nanoseconds.
void begin(const struct options *options);
void record(int64_t latency);
void report(const struct options *options, long events, int has_rate);

#endif
