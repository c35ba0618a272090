// Redis Streams by hiredis: XADD, pipelined; XREADGROUP and XACK. Durable by the server's appendfsync.
#include "broker.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { MAXIMUM_PAGE = 512 };

struct connection {
    redisContext *context;
    int prefetch;
    int pending;  // replies of settlements that were not read yet
};

static redisReply *checked(struct connection *connection, void *reply) {
    if (!reply) fail("redis: %s", connection->context->errstr);
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR) fail("redis: %s", ((redisReply *)reply)->str);
    return reply;
}

static void command(struct connection *connection, const char *text) {
    freeReplyObject(checked(connection, redisCommand(connection->context, text)));
}

struct connection *broker_open(const struct options *options) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) fail("no memory");
    connection->context = redisConnect("127.0.0.1", options->port);
    if (!connection->context || connection->context->err) fail("redis: cannot connect");
    return connection;
}

void broker_reset(struct connection *connection) {
    command(connection, "DEL bench");
    command(connection, "XGROUP CREATE bench group 0 MKSTREAM");
}

void broker_start_publishing(struct connection *connection) { (void)connection; }

void broker_send(struct connection *connection, const char *id, const uint8_t *data) {
    const char *words[] = {"XADD", "bench", "*", "id", id, "data", (const char *)data};
    const size_t sizes[] = {4, 5, 1, 2, ID_BYTES, 4, EVENT_BYTES};
    if (redisAppendCommandArgv(connection->context, 7, words, sizes) != REDIS_OK) fail("redis: no memory");
}

static void flush(struct connection *connection) {
    for (int done = 0; !done;) {
        if (redisBufferWrite(connection->context, &done) != REDIS_OK) fail("redis: %s", connection->context->errstr);
    }
}

int broker_confirmed(struct connection *connection, int waits) {
    int confirmed = 0;
    flush(connection);
    while (1) {
        void *reply = NULL;
        while (redisGetReplyFromReader(connection->context, &reply) == REDIS_OK && reply) {
            if (checked(connection, reply)->type != REDIS_REPLY_STRING) fail("redis: XADD returned no id");
            freeReplyObject(reply);
            confirmed++;
        }
        if (connection->context->err) fail("redis: %s", connection->context->errstr);
        if (confirmed > 0) return confirmed;
        if (!waits) {
            struct pollfd ready = {.fd = connection->context->fd, .events = POLLIN};
            if (poll(&ready, 1, 0) == 0) return 0;
        }
        if (redisBufferRead(connection->context) != REDIS_OK) fail("redis: %s", connection->context->errstr);
    }
}

void broker_start_consuming(struct connection *connection, int prefetch) {
    connection->prefetch = prefetch < MAXIMUM_PAGE ? prefetch : MAXIMUM_PAGE;
}

static void settle(struct connection *connection) {
    for (; connection->pending > 0; connection->pending--) {
        void *reply = NULL;
        redisGetReply(connection->context, &reply);
        freeReplyObject(checked(connection, reply));
    }
}

int broker_receive(struct connection *connection, void (*handle)(const uint8_t *, size_t)) {
    if (redisAppendCommand(
            connection->context, "XREADGROUP GROUP group consumer COUNT %d BLOCK 0 STREAMS bench >",
            connection->prefetch) != REDIS_OK) {
        fail("redis: no memory");
    }
    flush(connection);
    settle(connection);
    void *answer = NULL;
    redisGetReply(connection->context, &answer);
    redisReply *reply = checked(connection, answer);
    if (reply->type != REDIS_REPLY_ARRAY) fail("redis: XREADGROUP returned nothing");
    redisReply *entries = reply->element[0]->element[1];
    const char *words[3 + MAXIMUM_PAGE] = {"XACK", "bench", "group"};
    size_t sizes[3 + MAXIMUM_PAGE] = {4, 5, 5};
    int count = (int)entries->elements;
    for (int at = 0; at < count; at++) {
        redisReply *fields = entries->element[at]->element[1];
        handle((const uint8_t *)fields->element[3]->str, fields->element[3]->len);
        words[3 + at] = entries->element[at]->element[0]->str;
        sizes[3 + at] = entries->element[at]->element[0]->len;
    }
    if (redisAppendCommandArgv(connection->context, 3 + count, words, sizes) != REDIS_OK) fail("redis: no memory");
    flush(connection);
    connection->pending++;
    freeReplyObject(reply);
    return count;
}

void broker_finish(struct connection *connection) {
    settle(connection);
    redisReply *reply = checked(connection, redisCommand(connection->context, "XPENDING bench group"));
    if (reply->element[0]->integer != 0) fail("redis: %lld messages are left", reply->element[0]->integer);
    freeReplyObject(reply);
}
