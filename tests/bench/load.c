/* The load generator: many event streams or WebSockets, one publisher, one thread, one epoll.
 *
 * It takes one command a line on stdin and answers each with one line of JSON on stdout:
 *
 *   connect N [ID]         open N more streams, with ID as Last-Event-ID, or in the path of --resume; answers when all
 *                          are open
 *   reconnect [ID]         close every stream and reopen all of them simultaneously
 *   publish N RATE         publish N events, RATE a second; RATE 0: each when every stream has the one before
 *   stall N                stop reading the first N streams; `stall 0` reads all of them again
 *   idle SECONDS           only read
 *   poll N SECONDS         N keep-alive connections, each repeating the template's request
 *
 * Events are recognised by `"n":1ddddddddd,"t":1dddddddddddddddddd` in their data: a number that grows by one per
 * event, and the time of publishing in nanoseconds. Nothing else of a body is parsed. The template is the request
 * that publishes; its placeholders are filled in without changing its length, so it suits any protocol:
 *
 *   @@@@@@@@@@  n      ~~~~~~~~~~~~~~~~~~~  t      %%%%%%  channel      &&&&&&  content
 *   $$$$$$$$$$  n, where it begins no event           ^^^^^^^^^^  the n before
 *
 * An event n goes to channel n modulo the channels, content n modulo the contents; stream i is of channel
 * i modulo the channels; with --spanning 1 each stream follows all channels. --port may name several ports, separated by
 * commas: the streams of each channel take them in turn. A template may hold several events: each placeholder of an n begins another.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    N_DIGITS = 10, T_DIGITS = 19, PLACE_DIGITS = 6,
    MARK = 5 + N_DIGITS - 1 + 5 + T_DIGITS,  /* "n":1ddddddddd,"t":1dddddddddddddddddd */
    TAIL = 64,                               /* bytes kept between reads: more than a mark or the ready word */
    READ = 256 * 1024,
    OPENING = 512,                           /* simultaneous connection attempts: within any server's backlog */
    TURN = 512,
    PORTS = 16,
};
#define N_BASE 1000000000u
#define T_BASE 1000000000000000000ull
#define PATIENCE 20.0                        /* seconds without an event after which missing ones are lost */

enum state { CLOSED, CONNECTING, HEAD, CATCHING, OPEN };

typedef struct {
    int fd;
    uint32_t channel, last;
    uint8_t state, stalled, held;
    char tail[TAIL];
} Viewer;

typedef struct { size_t at; char mark; } Place;

static int epoll, server_ports[PORTS], port_count, publish_port;
static const char *path = "/%s", *resume = "", *header = "", *ready_word = "";
static uint32_t channels = 1, contents = 1;

static Viewer *viewers;
static uint32_t viewer_count, opened, under_way, next_to_open, failed, *audience, watching;
static int spanning;
static char last_event_id[128];

static char *template;
static size_t template_size, place_count;
static Place *places;
static uint32_t events_per_template;
static int publisher = -1;
static char *outgoing;
static size_t outgoing_size, outgoing_room;
static char refusal[160];
static uint64_t refusals;

static uint32_t next_n, first_n;
static uint64_t expected, delivered, disordered, caught_up, received_bytes;
static uint32_t *latencies;
static size_t latency_count, latency_room;
static char buffer[TAIL + READ + 1];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    printf("{\"error\":\"%s: %s\"}\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

/* ---- streams ---- */

static int dial(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) die("connect");
    return fd;
}

static void watch(int operation, int fd, uint32_t events, uint64_t who) {
    struct epoll_event event = {.events = events, .data.u64 = who};
    if (epoll_ctl(epoll, operation, fd, &event)) die("epoll_ctl");
}

static void open_some(void) {
    while (next_to_open < viewer_count && under_way < OPENING) {
        Viewer *viewer = &viewers[next_to_open];
        int port = server_ports[next_to_open / channels % (uint32_t)port_count];
        *viewer = (Viewer){.fd = dial(port), .channel = next_to_open % channels, .state = CONNECTING};
        watch(EPOLL_CTL_ADD, viewer->fd, EPOLLOUT, next_to_open++);
        under_way++;
    }
}

static void ask(Viewer *viewer, uint32_t index) {
    char name[16], target[2048], request[4096];
    snprintf(name, sizeof name, "ch-%06u", viewer->channel);
    int in_path = *resume && *last_event_id;
    snprintf(target, sizeof target, in_path ? resume : path, name, last_event_id);
    int size = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n%s%s%s%s%s\r\n", target,
        header, *header ? "\r\n" : "",
        *last_event_id && !in_path ? "Last-Event-ID: " : "", in_path ? "" : last_event_id,
        *last_event_id && !in_path ? "\r\n" : "");
    if (send(viewer->fd, request, (size_t)size, MSG_NOSIGNAL) != size) die("send");
    viewer->state = HEAD;
    watch(EPOLL_CTL_MOD, viewer->fd, EPOLLIN, index);
}

static void close_viewer(Viewer *viewer) {
    if (viewer->state == CLOSED) return;
    if (viewer->state == OPEN) opened--; else under_way--;
    failed++;
    close(viewer->fd);
    viewer->state = CLOSED;
}

static void is_open(Viewer *viewer) {
    viewer->state = OPEN;
    opened++;
    under_way--;
}

static uint64_t digits(const char *text, int count) {
    uint64_t value = 0;
    while (count--) value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}

static void note_latency(uint64_t nanoseconds) {
    if (latency_count == latency_room) {
        latency_room = latency_room ? latency_room * 2 : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
    }
    latencies[latency_count++] = (uint32_t)(nanoseconds / 100);  /* tenths of a microsecond */
}

static void event_came(Viewer *viewer, uint32_t n, uint64_t t, uint64_t moment) {
    if (n <= viewer->last) disordered++;
    viewer->last = n;
    if (n < first_n || viewer->state != OPEN) { caught_up++; return; }
    delivered++;
    note_latency(moment - t);
}

/* Counts the events in `text` of `size` bytes; what follows the last complete mark is kept for the next read. */
static void take_in(Viewer *viewer, char *text, size_t size, uint64_t moment) {
    char *at = text, *end = text + size, *found;
    if (viewer->state == HEAD && (found = memmem(text, size, "\r\n\r\n", 4))) {
        viewer->state = CATCHING;
        if (!*ready_word) is_open(viewer);
    }
    while (end - at >= MARK && (found = memmem(at, (size_t)(end - at), "\"n\":1", 5)) && end - found >= MARK) {
        event_came(viewer, (uint32_t)digits(found + 5, N_DIGITS - 1), digits(found + 5 + N_DIGITS + 4, T_DIGITS) - T_BASE, moment);
        at = found + MARK;
    }
    if (viewer->state == CATCHING && memmem(text, size, ready_word, strlen(ready_word))) is_open(viewer);
    viewer->held = (uint8_t)(end - at < TAIL ? end - at : TAIL - 1);
    memcpy(viewer->tail, end - viewer->held, viewer->held);
}

static void read_viewer(Viewer *viewer) {
    size_t held = viewer->held;
    ssize_t got = recv(viewer->fd, buffer + TAIL, READ, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) { close_viewer(viewer); return; }
    if (viewer->state == HEAD && !held && memcmp(buffer + TAIL, "HTTP/1.1 200", 12)
        && memcmp(buffer + TAIL, "HTTP/1.1 101", 12)) {
        snprintf(refusal, sizeof refusal, "%.*s", (int)strcspn(buffer + TAIL, "\r\n"), buffer + TAIL);
        close_viewer(viewer);
        return;
    }
    received_bytes += (uint64_t)got;
    memcpy(buffer + TAIL - held, viewer->tail, held);
    take_in(viewer, buffer + TAIL - held, held + (size_t)got, now());
}

/* ---- publishing ---- */

static void read_template(const char *file) {
    FILE *stream = fopen(file, "rb");
    if (!stream) die(file);
    template = malloc(1 << 20);
    template_size = fread(template, 1, 1 << 20, stream);
    fclose(stream);
    for (size_t at = 0; at < template_size; at++) {
        char mark = template[at];
        size_t width = mark == '@' || mark == '$' || mark == '^' ? N_DIGITS : mark == '~' ? T_DIGITS : mark == '%' || mark == '&' ? PLACE_DIGITS : 0;
        char run[T_DIGITS];
        memset(run, mark, sizeof run);
        if (!width || at + width > template_size || memcmp(template + at, run, width)) continue;
        places = realloc(places, (place_count + 1) * sizeof *places);
        places[place_count++] = (Place){at, mark};
        events_per_template += mark == '@';
        at += width - 1;
    }
}

static void fill(char *at, uint64_t value, int count) {
    while (count--) { at[count] = (char)('0' + value % 10); value /= 10; }
}

/* In every template the time follows the number, so it is an event's last placeholder. */
static void write_events(void) {
    if (outgoing_size + template_size > outgoing_room) {
        outgoing_room = (outgoing_room + template_size) * 2;
        outgoing = realloc(outgoing, outgoing_room);
    }
    char *copy = memcpy(outgoing + outgoing_size, template, template_size);
    outgoing_size += template_size;
    uint64_t t = T_BASE + now();
    for (size_t i = 0; i < place_count; i++) {
        char *at = copy + places[i].at;
        switch (places[i].mark) {
        case '%': fill(at, next_n % channels, PLACE_DIGITS); break;
        case '&': fill(at, next_n % contents, PLACE_DIGITS); break;
        case '~': fill(at, t, T_DIGITS); break;
        case '@': case '$': fill(at, N_BASE + next_n, N_DIGITS); break;
        case '^': fill(at, N_BASE + next_n - 1, N_DIGITS); break;
        }
        if (places[i].mark == '~') expected += spanning ? (next_n++, watching) : audience[next_n++ % channels];
    }
}

static void send_outgoing(void) {
    size_t sent = 0;
    while (sent < outgoing_size) {
        ssize_t wrote = send(publisher, outgoing + sent, outgoing_size - sent, MSG_NOSIGNAL);
        if (wrote < 0) { if (errno == EAGAIN) break; die("publish"); }
        sent += (size_t)wrote;
    }
    memmove(outgoing, outgoing + sent, outgoing_size - sent);
    outgoing_size -= sent;
    watch(EPOLL_CTL_MOD, publisher, EPOLLIN | (outgoing_size ? EPOLLOUT : 0), UINT32_MAX);
}

static void note_refusal(const char *answer, ssize_t size) {
    const char *found = answer[0] == '-' ? answer : memmem(answer, (size_t)size, "HTTP/1.1 4", 10);
    if (!found) found = memmem(answer, (size_t)size, "HTTP/1.1 5", 10);
    if (!found) return;
    refusals++;
    snprintf(refusal, sizeof refusal, "%.*s", (int)strcspn(found, "\r\n"), found);
}

static void read_answers(void) {
    ssize_t got = recv(publisher, buffer, READ, 0);
    if (got > 0) { buffer[got] = 0; note_refusal(buffer, got); }
    else if (got == 0) {  /* a server may close an idle connection; the next command opens another */
        if (outgoing_size) die("the server closed the publisher's connection");
        close(publisher);
        publisher = -1;
    }
}

static void open_publisher(void) {
    if (publisher >= 0) return;
    publisher = dial(publish_port);
    watch(EPOLL_CTL_ADD, publisher, EPOLLIN | EPOLLOUT, UINT32_MAX);
}

/* ---- the loop ---- */

static int turn(int milliseconds) {
    static struct epoll_event events[TURN];
    int count = epoll_wait(epoll, events, TURN, milliseconds);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == UINT32_MAX) {
            if (publisher < 0) continue;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_answers();
            if (publisher >= 0 && events[i].events & EPOLLOUT) send_outgoing();
            continue;
        }
        uint32_t index = (uint32_t)events[i].data.u64;
        Viewer *viewer = &viewers[index];
        if (viewer->state == CONNECTING) {
            if (events[i].events & (EPOLLERR | EPOLLHUP)) close_viewer(viewer); else ask(viewer, index);
        } else if (viewer->state != CLOSED) read_viewer(viewer);
    }
    return count;
}

static void forget_counts(void) {
    expected = delivered = disordered = caught_up = received_bytes = refusals = 0;
    latency_count = 0;
    refusal[0] = 0;
    failed = 0;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile(double share) {
    return latency_count ? latencies[(size_t)((double)(latency_count - 1) * share)] / 10.0 : 0;
}

static void answer(uint64_t began) {
    double seconds = (double)(now() - began) / 1e9;
    qsort(latencies, latency_count, sizeof *latencies, by_size);
    printf("{\"seconds\":%.6f,\"open\":%u,\"failed\":%u,\"expected\":%llu,\"delivered\":%llu,\"disordered\":%llu,"
        "\"caught_up\":%llu,\"bytes\":%llu,\"refused\":%llu,\"refusal\":\"%s\","
        "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n",
        seconds, opened, failed, (unsigned long long)expected, (unsigned long long)delivered,
        (unsigned long long)disordered, (unsigned long long)caught_up, (unsigned long long)received_bytes,
        (unsigned long long)refusals, refusal, percentile(0.5), percentile(0.9), percentile(0.99), percentile(1));
    fflush(stdout);
}

/* ---- the commands ---- */

static void count_audience(void) {
    memset(audience, 0, channels * sizeof *audience);
    watching = 0;
    for (uint32_t i = 0; i < viewer_count; i++)
        if (viewers[i].state != CLOSED && !viewers[i].stalled) audience[viewers[i].channel]++, watching++;
}

static void open_all(uint32_t from) {
    uint64_t began = now(), heard = began;
    forget_counts();
    first_n = next_n;  /* events before the next publish count as caught up */
    next_to_open = from;
    while (next_to_open < viewer_count || under_way) {
        open_some();
        if (turn(100)) heard = now();
        if ((double)(now() - heard) / 1e9 > PATIENCE) break;
    }
    count_audience();
    answer(began);
}

static void command_connect(uint32_t count) {
    uint32_t from = viewer_count;
    viewer_count += count;
    viewers = realloc(viewers, viewer_count * sizeof *viewers);
    open_all(from);
}

static void command_reconnect(void) {
    for (uint32_t i = 0; i < viewer_count; i++)
        if (viewers[i].state != CLOSED) close(viewers[i].fd);
    opened = under_way = 0;
    open_all(0);
}

static void command_publish(uint32_t count, double rate) {
    open_publisher();
    forget_counts();
    uint64_t began = now(), heard = began;
    first_n = next_n;
    while (next_n - first_n < count || delivered < expected) {
        double due = rate > 0 ? (double)(now() - began) / 1e9 * rate + events_per_template
                              : delivered == expected ? next_n - first_n + events_per_template : 0;
        while (next_n - first_n < count && next_n - first_n + events_per_template <= due) write_events();
        if (publisher < 0) open_publisher();
        if (outgoing_size) send_outgoing();
        uint64_t before = delivered;
        turn(rate > 0 && next_n - first_n < count ? 1 : 100);
        if (delivered > before || (rate > 0 && next_n - first_n < count)) heard = now();
        /* What a lost stream was to get never comes. */
        if (failed || refusals > 1000 || (double)(now() - heard) / 1e9 > PATIENCE / 2) break;
    }
    answer(began);
}

static void command_stall(uint32_t count) {
    for (uint32_t i = 0; i < viewer_count; i++) {
        if (viewers[i].state == CLOSED || viewers[i].stalled == (i < count)) continue;
        viewers[i].stalled = i < count;
        watch(EPOLL_CTL_MOD, viewers[i].fd, viewers[i].stalled ? 0 : EPOLLIN, i);
    }
    count_audience();
    forget_counts();
    answer(now());
}

static void command_idle(double seconds) {
    uint64_t began = now();
    forget_counts();
    while ((double)(now() - began) / 1e9 < seconds) turn(20);
    answer(began);
}

/* The largest answer is a page of 1,000 channels, under 200 KB. */
typedef struct { int fd; size_t got; uint64_t sent_at; char text[512 * 1024]; } Poller;

static void send_request(Poller *poller) {
    poller->got = 0;
    poller->sent_at = now();
    if (send(poller->fd, template, template_size, MSG_NOSIGNAL) != (ssize_t)template_size) die("poll");
}

/* Whether the answer is complete; one without Content-Length ends with its head. */
static int is_whole(Poller *poller) {
    poller->text[poller->got] = 0;
    char *end = strstr(poller->text, "\r\n\r\n");
    if (!end) return 0;
    *end = 0;
    char *length = strcasestr(poller->text, "\r\ncontent-length:");
    *end = '\r';
    return poller->got >= (size_t)(end + 4 - poller->text) + (length ? strtoul(length + 17, NULL, 10) : 0);
}

static void command_poll(uint32_t count, double seconds) {
    Poller *pollers = calloc(count, sizeof *pollers);
    int own = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[TURN];
    forget_counts();
    for (uint32_t i = 0; i < count; i++) {
        pollers[i].fd = dial(publish_port);
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = &pollers[i]};
        epoll_ctl(own, EPOLL_CTL_ADD, pollers[i].fd, &event);
    }
    uint64_t began = now();
    while ((double)(now() - began) / 1e9 < seconds) {
        int ready = epoll_wait(own, events, TURN, 20);
        for (int i = 0; i < ready; i++) {
            Poller *poller = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = poller};
                epoll_ctl(own, EPOLL_CTL_MOD, poller->fd, &event);
                send_request(poller);
                continue;
            }
            ssize_t got = recv(poller->fd, poller->text + poller->got, sizeof poller->text - 1 - poller->got, 0);
            if (got <= 0) die("the server closed a poll's connection");
            poller->got += (size_t)got;
            received_bytes += (uint64_t)got;
            if (!is_whole(poller)) continue;
            note_refusal(poller->text, (ssize_t)poller->got);
            note_latency(now() - poller->sent_at);
            delivered++;
            send_request(poller);
        }
    }
    answer(began);
    for (uint32_t i = 0; i < count; i++) close(pollers[i].fd);
    close(own);
    free(pollers);
}

static void obey(char *line) {
    uint32_t count = 0;
    double amount = 0;
    last_event_id[0] = 0;
    if (sscanf(line, "connect %u %127s", &count, last_event_id) >= 1) command_connect(count);
    else if (!strncmp(line, "reconnect", 9)) { sscanf(line, "reconnect %127s", last_event_id); command_reconnect(); }
    else if (sscanf(line, "publish %u %lf", &count, &amount) == 2) command_publish(count, amount);
    else if (sscanf(line, "stall %u", &count) == 1) command_stall(count);
    else if (sscanf(line, "idle %lf", &amount) == 1) command_idle(amount);
    else if (sscanf(line, "poll %u %lf", &count, &amount) == 2) command_poll(count, amount);
    else { errno = EINVAL; die("no such command"); }
}

static void read_ports(const char *text) {
    for (port_count = 0; port_count < PORTS && *text; port_count++) {
        char *end;
        server_ports[port_count] = (int)strtol(text, &end, 10);
        text = *end ? end + 1 : end;
    }
    publish_port = server_ports[0];
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--port")) read_ports(value);
        else if (!strcmp(name, "--publish-port")) publish_port = atoi(value);
        else if (!strcmp(name, "--path")) path = value;
        else if (!strcmp(name, "--resume")) resume = value;
        else if (!strcmp(name, "--header")) header = value;
        else if (!strcmp(name, "--ready")) ready_word = value;
        else if (!strcmp(name, "--channels")) channels = (uint32_t)atoi(value);
        else if (!strcmp(name, "--spanning")) spanning = atoi(value);
        else if (!strcmp(name, "--contents")) contents = (uint32_t)atoi(value);
        else if (!strcmp(name, "--template")) read_template(value);
        else { errno = EINVAL; die(name); }
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    audience = calloc(channels, sizeof *audience);
    next_n = 1;
    char line[256];
    while (fgets(line, sizeof line, stdin)) obey(line);
    return 0;
}
