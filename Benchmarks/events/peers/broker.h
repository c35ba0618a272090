// What broker.c needs of a broker's client. Every call ends the program if the broker says that something is wrong.
#ifndef BROKER_H
#define BROKER_H

#include "measure.h"

struct connection;

struct connection *broker_open(const struct options *options);
// Makes the queue (or stream) anew and empty.
void broker_reset(struct connection *connection);
// From now on broker_send() and broker_confirmed() are used, with answers that mean durable.
void broker_start_publishing(struct connection *connection);
// Hands one event over, not necessarily to the socket yet.
void broker_send(struct connection *connection, const char *id, const uint8_t *data);
// Sends what is held back; returns how many events were confirmed since. Waits for one if asked to.
int broker_confirmed(struct connection *connection, int waits);
// From now on broker_receive() is used, with so many unsettled messages at most.
void broker_start_consuming(struct connection *connection, int prefetch);
// Waits for messages, hands them to `handle`, settles them; returns how many.
int broker_receive(struct connection *connection, void (*handle)(const uint8_t *data, size_t size));
// Waits until the broker has seen all settlements.
void broker_finish(struct connection *connection);

#endif
