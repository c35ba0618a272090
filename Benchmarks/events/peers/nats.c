// NATS JetStream over a plain socket: published with an id, confirmed by the stream; consumed with explicit acknowledgements.
#define _GNU_SOURCE
#include "broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int socket;
    char *in;          // what was read
    size_t start, end;
    size_t room;
    char *out;         // what is to be written
    size_t held;
    char inbox[64];
};

enum { OUT_ROOM = 1 << 20 };

// Writing

static void flush(struct connection *connection) {
    size_t at = 0;
    while (at < connection->held) {
        ssize_t count = write(connection->socket, connection->out + at, connection->held - at);
        if (count <= 0) fail("nats: the connection is lost");
        at += (size_t)count;
    }
    connection->held = 0;
}

static void put(struct connection *connection, const void *bytes, size_t count) {
    if (connection->held + count > OUT_ROOM) flush(connection);
    memcpy(connection->out + connection->held, bytes, count);
    connection->held += count;
}

static void publish(struct connection *connection, const char *subject, const char *reply, const char *body) {
    char line[1024];
    int size = snprintf(line, sizeof line, "PUB %s %s %zu\r\n%s\r\n", subject, reply, strlen(body), body);
    put(connection, line, (size_t)size);
}

// Reading

static int fill(struct connection *connection, int waits) {
    if (!waits) {
        struct pollfd ready = {.fd = connection->socket, .events = POLLIN};
        if (poll(&ready, 1, 0) == 0) return 0;
    }
    if (connection->start > 0) {
        memmove(connection->in, connection->in + connection->start, connection->end - connection->start);
        connection->end -= connection->start;
        connection->start = 0;
    }
    if (connection->end == connection->room) {
        connection->room *= 2;
        connection->in = realloc(connection->in, connection->room);
        if (!connection->in) fail("no memory");
    }
    ssize_t count = read(connection->socket, connection->in + connection->end, connection->room - connection->end);
    if (count <= 0) fail("nats: the connection is lost");
    connection->end += (size_t)count;
    return 1;
}

// A message of the server. The texts end with a zero; all is valid until the next read.
struct message {
    char *subject, *reply;
    char *body;
    size_t size;
};

// Takes one message out of what was read; 0 if there is no whole one.
static int take(struct connection *connection, struct message *message) {
    while (1) {
        char *line = connection->in + connection->start;
        char *stop = memchr(line, '\n', connection->end - connection->start);
        if (!stop) return 0;
        size_t length = (size_t)(stop - line) + 1;
        if (!strncmp(line, "PING", 4)) put(connection, "PONG\r\n", 6);
        if (!strncmp(line, "-ERR", 4)) fail("nats: %.*s", (int)length, line);
        int has_headers = !strncmp(line, "HMSG ", 5);
        if (!has_headers && strncmp(line, "MSG ", 4) != 0) {
            connection->start += length;
            continue;
        }
        // MSG subject sid [reply] size, or HMSG subject sid [reply] header-size size
        char head[512];
        if (length >= sizeof head) fail("nats: a long line");
        memcpy(head, line, length - 2);
        head[length - 2] = 0;
        char *words[6], *rest = head;
        int count = 0;
        for (char *word; count < 6 && (word = strsep(&rest, " "));) words[count++] = word;
        size_t header = has_headers ? strtoul(words[count - 2], NULL, 10) : 0;
        size_t size = strtoul(words[count - 1], NULL, 10);
        if (connection->end - connection->start < length + size + 2) return 0;
        int has_reply = count == (has_headers ? 6 : 5);
        message->subject = line + (words[1] - head);
        message->subject[strlen(words[1])] = 0;
        message->reply = has_reply ? line + (words[3] - head) : NULL;
        if (has_reply) message->reply[strlen(words[3])] = 0;
        message->body = stop + 1 + header;
        message->size = size - header;
        connection->start += length + size + 2;
        return 1;
    }
}

static struct message await(struct connection *connection) {
    struct message message;
    flush(connection);
    while (!take(connection, &message)) fill(connection, 1);
    return message;
}

// Asks the server; the answer must hold `expected`, unless that is NULL.
static void request(struct connection *connection, const char *subject, const char *body, const char *expected) {
    publish(connection, subject, connection->inbox, body);
    struct message answer = await(connection);
    if (expected && !memmem(answer.body, answer.size, expected, strlen(expected))) {
        fail("nats: %s: %.*s", subject, (int)answer.size, answer.body);
    }
}

// The broker

struct connection *broker_open(const struct options *options) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) fail("no memory");
    connection->room = 1 << 20;
    connection->in = malloc(connection->room);
    connection->out = malloc(OUT_ROOM);
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) != 0) fail("nats: cannot connect");
    int yes = 1;
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    char id[ID_BYTES + 1];
    make_id_text(id);
    snprintf(connection->inbox, sizeof connection->inbox, "_INBOX.%s", id);
    char hello[256];
    int size = snprintf(
        hello, sizeof hello, "CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":1}\r\nSUB %s 1\r\n",
        connection->inbox);
    put(connection, hello, (size_t)size);
    return connection;
}

void broker_reset(struct connection *connection) {
    request(connection, "$JS.API.STREAM.DELETE.BENCH", "", NULL);
    request(
        connection, "$JS.API.STREAM.CREATE.BENCH",
        "{\"name\":\"BENCH\",\"subjects\":[\"bench\"],\"storage\":\"file\",\"retention\":\"limits\"}", "\"created\"");
}

void broker_start_publishing(struct connection *connection) { (void)connection; }

void broker_send(struct connection *connection, const char *id, const uint8_t *data) {
    char line[256];
    const int header = (int)(sizeof "NATS/1.0\r\nNats-Msg-Id: \r\n\r\n" - 1) + ID_BYTES;
    int size = snprintf(
        line, sizeof line, "HPUB bench %s %d %d\r\nNATS/1.0\r\nNats-Msg-Id: %s\r\n\r\n", connection->inbox, header,
        header + EVENT_BYTES, id);
    put(connection, line, (size_t)size);
    put(connection, data, EVENT_BYTES);
    put(connection, "\r\n", 2);
}

int broker_confirmed(struct connection *connection, int waits) {
    int confirmed = 0;
    flush(connection);
    while (1) {
        struct message message;
        while (take(connection, &message)) {
            if (!memmem(message.body, message.size, "\"seq\"", 5) || memmem(message.body, message.size, "dupl", 4)) {
                fail("nats: not confirmed: %.*s", (int)message.size, message.body);
            }
            confirmed++;
        }
        if (confirmed > 0) return confirmed;
        if (!fill(connection, waits)) return 0;
    }
}

void broker_start_consuming(struct connection *connection, int prefetch) {
    char body[512];
    snprintf(
        body, sizeof body,
        "{\"stream_name\":\"BENCH\",\"config\":{\"durable_name\":\"bench\",\"deliver_subject\":\"%s.d\","
        "\"ack_policy\":\"explicit\",\"deliver_policy\":\"all\",\"max_ack_pending\":%d}}",
        connection->inbox, prefetch);
    request(connection, "$JS.API.CONSUMER.DURABLE.CREATE.BENCH.bench", body, "\"created\"");
    char line[128];
    int size = snprintf(line, sizeof line, "SUB %s.d 2\r\n", connection->inbox);
    put(connection, line, (size_t)size);
    flush(connection);
}

int broker_receive(struct connection *connection, void (*handle)(const uint8_t *, size_t)) {
    int received = 0;
    while (received == 0) {
        struct message message;
        while (take(connection, &message)) {
            if (!message.reply) fail("nats: a message that cannot be acknowledged: %s", message.subject);
            handle((const uint8_t *)message.body, message.size);
            publish(connection, message.reply, "", "+ACK");
            received++;
        }
        flush(connection);
        if (received == 0) fill(connection, 1);
    }
    return received;
}

void broker_finish(struct connection *connection) {
    // Acknowledgements are taken in by the consumer's own queue: it is asked until it has seen them all.
    while (1) {
        publish(connection, "$JS.API.CONSUMER.INFO.BENCH.bench", connection->inbox, "");
        struct message answer = await(connection);
        if (memmem(answer.body, answer.size, "\"num_ack_pending\":0", 19)) return;
    }
}
