// RabbitMQ by librabbitmq: a durable queue, persistent messages, publisher confirms, acknowledgements.
#include "broker.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <poll.h>
#include <stdlib.h>

struct connection {
    amqp_connection_state_t state;
    uint64_t confirmed;  // the last delivery tag
    int ack_every;
    int unacked;
};

static const amqp_channel_t channel = 1;

static amqp_bytes_t queue(void) { return amqp_cstring_bytes("bench"); }

static void check(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        fail("rabbitmq: %s failed: %s", what,
             reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION ? amqp_error_string2(reply.library_error)
                                                                 : "the server refused");
    }
}

struct connection *broker_open(const struct options *options) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) fail("no memory");
    connection->state = amqp_new_connection();
    connection->ack_every = options->ack_every;
    amqp_socket_t *socket = amqp_tcp_socket_new(connection->state);
    if (!socket || amqp_socket_open(socket, "127.0.0.1", options->port) != 0) fail("rabbitmq: cannot connect");
    check(amqp_login(connection->state, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
    amqp_channel_open(connection->state, channel);
    check(amqp_get_rpc_reply(connection->state), "opening a channel");
    return connection;
}

void broker_reset(struct connection *connection) {
    amqp_queue_delete(connection->state, channel, queue(), 0, 0);
    check(amqp_get_rpc_reply(connection->state), "deleting the queue");
    amqp_queue_declare(connection->state, channel, queue(), 0, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(connection->state), "declaring the queue");
}

void broker_start_publishing(struct connection *connection) {
    amqp_confirm_select(connection->state, channel);
    check(amqp_get_rpc_reply(connection->state), "asking for confirms");
}

void broker_send(struct connection *connection, const char *id, const uint8_t *data) {
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
        .delivery_mode = 2,
        .message_id = amqp_cstring_bytes(id),
    };
    amqp_bytes_t body = {.len = EVENT_BYTES, .bytes = (void *)data};
    int status = amqp_basic_publish(connection->state, channel, amqp_empty_bytes, queue(), 1, 0, &properties, body);
    if (status != AMQP_STATUS_OK) fail("rabbitmq: publishing failed: %s", amqp_error_string2(status));
}

static int has_more(struct connection *connection) {
    if (amqp_frames_enqueued(connection->state) || amqp_data_in_buffer(connection->state)) return 1;
    struct pollfd ready = {.fd = amqp_get_sockfd(connection->state), .events = POLLIN};
    return poll(&ready, 1, 0) > 0;
}

int broker_confirmed(struct connection *connection, int waits) {
    int confirmed = 0;
    amqp_maybe_release_buffers(connection->state);
    while ((waits && confirmed == 0) || has_more(connection)) {
        amqp_frame_t frame;
        int status = amqp_simple_wait_frame(connection->state, &frame);
        if (status != AMQP_STATUS_OK) fail("rabbitmq: waiting failed: %s", amqp_error_string2(status));
        if (frame.frame_type != AMQP_FRAME_METHOD) fail("rabbitmq: an unexpected frame");
        if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
            fail("rabbitmq: %s instead of a confirm", amqp_method_name(frame.payload.method.id));
        }
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        if (ack->multiple) {
            if (ack->delivery_tag > connection->confirmed) {
                confirmed += (int)(ack->delivery_tag - connection->confirmed);
                connection->confirmed = ack->delivery_tag;
            }
        } else {
            // One queue confirms in order.
            if (ack->delivery_tag != connection->confirmed + 1) fail("rabbitmq: a confirm out of order");
            connection->confirmed++;
            confirmed++;
        }
    }
    return confirmed;
}

void broker_start_consuming(struct connection *connection, int prefetch) {
    amqp_basic_qos(connection->state, channel, 0, (uint16_t)prefetch, 0);
    check(amqp_get_rpc_reply(connection->state), "setting the prefetch");
    amqp_basic_consume(connection->state, channel, queue(), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(connection->state), "consuming");
}

int broker_receive(struct connection *connection, void (*handle)(const uint8_t *, size_t)) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection->state);
    check(amqp_consume_message(connection->state, &envelope, NULL, 0), "receiving");
    handle(envelope.message.body.bytes, envelope.message.body.len);
    if (++connection->unacked == connection->ack_every) {
        int status = amqp_basic_ack(connection->state, channel, envelope.delivery_tag, connection->ack_every > 1);
        if (status != AMQP_STATUS_OK) fail("rabbitmq: acknowledging failed: %s", amqp_error_string2(status));
        connection->unacked = 0;
    }
    amqp_destroy_envelope(&envelope);
    return 1;
}

void broker_finish(struct connection *connection) {
    if (connection->unacked > 0) amqp_basic_ack(connection->state, channel, 0, 1);
    // What is asked on the channel is answered after all that was sent on it.
    amqp_queue_declare_ok_t *left =
        amqp_queue_declare(connection->state, channel, queue(), 1, 1, 0, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(connection->state), "looking at the queue");
    if (left->message_count != 0) fail("rabbitmq: %u messages are left", left->message_count);
}
