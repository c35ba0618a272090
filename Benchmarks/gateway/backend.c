// The upstream of all gateways: answers every GET with the same 512 bytes, keeps connections alive, costs next to nothing.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY = 512, HEAD_ROOM = 16384, MAXIMUM_DESCRIPTORS = 65536 };

struct client {
    size_t held;
    char head[HEAD_ROOM];  // of a request that is not whole yet
};

static struct client *clients[MAXIMUM_DESCRIPTORS];
static char answer[1024];
static size_t answer_size;

static void drop(int descriptor) {
    free(clients[descriptor]);
    clients[descriptor] = NULL;
    close(descriptor);
}

static void serve(int descriptor) {
    struct client *client = clients[descriptor];
    ssize_t count = read(descriptor, client->head + client->held, HEAD_ROOM - client->held);
    if (count <= 0) {
        drop(descriptor);
        return;
    }
    client->held += (size_t)count;
    char *rest = client->head, *end = client->head + client->held;
    for (char *stop; (stop = memmem(rest, (size_t)(end - rest), "\r\n\r\n", 4)); rest = stop + 4) {
        if (write(descriptor, answer, answer_size) != (ssize_t)answer_size) {
            drop(descriptor);
            return;
        }
    }
    client->held = (size_t)(end - rest);
    memmove(client->head, rest, client->held);
    if (client->held == HEAD_ROOM) drop(descriptor);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "backend PORT\n");
        return 64;
    }
    answer_size = (size_t)snprintf(
        answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", BODY);
    memset(answer + answer_size, 'b', BODY);
    answer_size += BODY;

    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) {
        perror("backend");
        return 1;
    }
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    while (1) {
        struct epoll_event ready[256];
        int count = epoll_wait(poll, ready, 256, -1);
        for (int at = 0; at < count; at++) {
            int descriptor = ready[at].data.fd;
            if (descriptor != listener) {
                serve(descriptor);
                continue;
            }
            int accepted = accept(listener, NULL, NULL);
            if (accepted < 0) continue;
            struct client *client = accepted < MAXIMUM_DESCRIPTORS ? malloc(sizeof *client) : NULL;
            if (!client) {
                close(accepted);
                continue;
            }
            client->held = 0;
            clients[accepted] = client;
            setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            event = (struct epoll_event){.events = EPOLLIN, .data.fd = accepted};
            epoll_ctl(poll, EPOLL_CTL_ADD, accepted, &event);
        }
    }
}
