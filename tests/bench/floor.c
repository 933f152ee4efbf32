/* The floor: the cost of one thread of C that only calls send() with the same bytes for every viewer.
 *
 * GET /<channel> answers with the head of an event stream; POST /<channel> sends its body, framed once, to all
 * streams of that channel. A channel's name ends in its number. Nothing is stored and nothing is buffered: bytes
 * that a socket does not accept are dropped.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 1 << 16, MAX_CHANNELS = 1 << 17, REQUESTS = 1 << 18, TURN = 512 };

typedef struct { int *fds; int count, room; } Channel;
typedef struct { char *text; size_t size; int channel; } Connection;

static Channel channels[MAX_CHANNELS];
static Connection connections[MAX_FDS];
static unsigned long last_id;

static const char HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n";

static void subscribe(int fd, int number) {
    Channel *channel = &channels[number];
    if (channel->count == channel->room) {
        channel->room = channel->room ? channel->room * 2 : 1;
        channel->fds = realloc(channel->fds, (size_t)channel->room * sizeof(int));
    }
    channel->fds[channel->count++] = fd;
    connections[fd].channel = number;
    send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL);
}

static void publish(Channel *channel, const char *body, size_t size) {
    static char frame[REQUESTS], chunk[REQUESTS + 16];
    int length = snprintf(frame, sizeof frame, "event: content_status_update\ndata: %.*s\nid: floor-%lu\n\n",
        (int)size, body, ++last_id);
    int total = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)length, frame);
    for (int i = 0; i < channel->count; i++) send(channel->fds[i], chunk, (size_t)total, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int number_in(const char *target) {
    const char *digits = target + strcspn(target, "0123456789 \r");
    return atoi(digits) % MAX_CHANNELS;
}

/* Answers the complete requests in `text`; returns their size. */
static size_t answer(int fd, char *text, size_t size) {
    size_t at = 0;
    for (;;) {
        char *end = memmem(text + at, size - at, "\r\n\r\n", 4);
        if (!end) return at;
        char *target = strchr(text + at, ' ') + 1;
        if (text[at] == 'G') {
            subscribe(fd, number_in(target));
            at = (size_t)(end + 4 - text);
            continue;
        }
        *end = 0;
        char *length = strcasestr(text + at, "\r\ncontent-length:");
        *end = '\r';
        size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
        if (end + 4 + body > text + size) return at;
        publish(&channels[number_in(target)], end + 4, body);
        send(fd, "HTTP/1.1 204 No Content\r\n\r\n", 27, MSG_NOSIGNAL);
        at = (size_t)(end + 4 - text) + body;
    }
}

static void leave(int fd) {
    Connection *connection = &connections[fd];
    if (connection->channel >= 0) {
        Channel *channel = &channels[connection->channel];
        for (int i = 0; i < channel->count; i++)
            if (channel->fds[i] == fd) { channel->fds[i] = channel->fds[--channel->count]; break; }
    }
    free(connection->text);
    close(fd);
}

static void take_in(int fd) {
    static char buffer[REQUESTS + 1];
    Connection *connection = &connections[fd];
    memcpy(buffer, connection->text, connection->size);
    ssize_t got = recv(fd, buffer + connection->size, REQUESTS - connection->size, 0);
    if (got <= 0) { leave(fd); return; }
    size_t size = connection->size + (size_t)got;
    buffer[size] = 0;
    size_t done = answer(fd, buffer, size);
    connection->size = size - done;
    connection->text = connection->size ? realloc(connection->text, connection->size) : (free(connection->text), NULL);
    if (connection->size) memcpy(connection->text, buffer + done, connection->size);
}

static void welcome(int epoll, int listener) {
    for (int fd, yes = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        if (fd >= MAX_FDS) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connections[fd] = (Connection){.channel = -1};
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argc > 1 ? argv[1] : "0"))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1, epoll = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) { perror("floor"); return 1; }
    struct epoll_event listening = {.events = EPOLLIN, .data.fd = listener}, events[TURN];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening);
    for (;;) {
        int count = epoll_wait(epoll, events, TURN, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == listener) welcome(epoll, listener); else take_in(events[i].data.fd);
    }
}
