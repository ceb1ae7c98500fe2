/* Closed-loop load on an HTTP job service: each of N keep-alive connections submits a job, asks for it until it has
   ended, and submits the next. If the answer to the submission says that the job has ended, that was all.

   jobload PORT CONNECTIONS SECONDS POLL_MS PATH BODY PREFIX ID_KEY DONE_TEXT [EXTRA_HEADER]
     POLL_MS       pause before a second and later look at a job; the first follows the submission at once
     PREFIX        the job's status is at PREFIX + id
     ID_KEY        member of the answer that holds the id
     DONE_TEXT     text by which an answer says that the job has succeeded
     EXTRA_HEADER  of the submission, e.g. "Prefer: wait=10"

   Prints one JSON object: jobs, jobs_s, requests_per_job, p50_ms, p99_ms (submission to result), errors. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum phase { SUBMITTED, ASKED, PAUSED, CLOSED };

struct connection {
    int fd;
    enum phase phase;
    double began, due; /* seconds of the monotonic clock */
    size_t filled;
    char id[128];
    char answer[65536];
};

static int port;
static double pause_seconds;
static const char *path, *body, *prefix, *done_text, *extra;
static char id_key[128];
static double *latencies;
static size_t latency_count, latency_room = 1 << 16;
static long requests, errors;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int ascending(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static void send_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = write(fd, bytes, count);
        if (sent < 0) {
            if (errno == EINTR) continue;
            perror("write");
            exit(1);
        }
        bytes += sent;
        count -= sent;
    }
}

static void submit(struct connection *c) {
    static char request[70000];
    int count = snprintf(request, sizeof request,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%s%sContent-Length: %zu\r\n\r\n%s",
        path, port, extra, *extra ? "\r\n" : "", strlen(body), body);
    c->phase = SUBMITTED;
    c->began = now();
    c->filled = 0;
    requests++;
    send_all(c->fd, request, count);
}

static void ask(struct connection *c) {
    char request[1024];
    int count = snprintf(request, sizeof request, "GET %s%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", prefix, c->id, port);
    c->phase = ASKED;
    c->filled = 0;
    requests++;
    send_all(c->fd, request, count);
}

static void end(struct connection *c) {
    close(c->fd);
    c->phase = CLOSED;
}

/* Copies the string or number that follows the id's key; 0 if there is none. */
static int take_id(struct connection *c, const char *text) {
    const char *at = strstr(text, id_key);
    if (!at) return 0;
    at += strlen(id_key);
    at += strspn(at, " :\"");
    size_t length = strcspn(at, "\",} ");
    if (length == 0 || length >= sizeof c->id) return 0;
    memcpy(c->id, at, length);
    c->id[length] = 0;
    return 1;
}

static void note_latency(double milliseconds) {
    if (latency_count == latency_room) latencies = realloc(latencies, (latency_room *= 2) * sizeof *latencies);
    latencies[latency_count++] = milliseconds;
}

/* The body of a whole answer; NULL while some of it is missing. */
static const char *whole_answer(struct connection *c) {
    char *end_of_head = strstr(c->answer, "\r\n\r\n");
    if (!end_of_head) return NULL;
    char *field = strcasestr(c->answer, "\r\ncontent-length:");
    size_t length = field && field < end_of_head ? strtoul(field + 17, NULL, 10) : 0;
    size_t head = end_of_head + 4 - c->answer;
    return c->filled - head >= length ? c->answer + head : NULL;
}

static void answered(struct connection *c, const char *text, double stop) {
    double t = now();
    int status = atoi(c->answer + 9);
    if (status / 100 != 2) {
        if (errors++ < 3) fprintf(stderr, "%.300s\n", c->answer);
    } else if (strstr(text, done_text)) {
        if (t <= stop) note_latency((t - c->began) * 1e3);
    } else if (c->phase == SUBMITTED && take_id(c, text)) {
        return ask(c);
    } else if (t < stop + 8) {
        if (pause_seconds <= 0) return ask(c);
        c->phase = PAUSED;
        c->due = t + pause_seconds;
        return;
    }
    if (t < stop) submit(c); else end(c);
}

static void receive(struct connection *c, double stop) {
    ssize_t count = read(c->fd, c->answer + c->filled, sizeof c->answer - 1 - c->filled);
    if (count <= 0) {
        errors++;
        return end(c);
    }
    c->filled += count;
    c->answer[c->filled] = 0;
    const char *text = whole_answer(c);
    if (text) answered(c, text, stop);
}

int main(int argc, char **argv) {
    if (argc < 10) {
        fprintf(stderr, "usage: see the head of the source\n");
        return 2;
    }
    port = atoi(argv[1]);
    int count = atoi(argv[2]), epoll = epoll_create1(0);
    double seconds = atof(argv[3]);
    pause_seconds = atof(argv[4]) / 1e3;
    path = argv[5], body = argv[6], prefix = argv[7], done_text = argv[9], extra = argc > 10 ? argv[10] : "";
    snprintf(id_key, sizeof id_key, "\"%s\"", argv[8]);
    latencies = malloc(latency_room * sizeof *latencies);
    struct connection *all = calloc(count, sizeof *all);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        int one = 1;
        all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(all[i].fd, (void *)&address, sizeof address)) return perror("connect"), 1;
        setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    double start = now(), stop = start + seconds;
    for (int i = 0; i < count; i++) submit(&all[i]);
    for (int open = count; open > 0 && now() < stop + 10;) {
        struct epoll_event events[256];
        double t = now(), next = t + 0.1;
        for (int i = 0; i < count; i++)
            if (all[i].phase == PAUSED && all[i].due < next) next = all[i].due;
        int ready = epoll_wait(epoll, events, 256, next > t ? (int)((next - t) * 1e3 + 0.999) : 0);
        t = now();
        for (int i = 0; i < count; i++)
            if (all[i].phase == PAUSED && all[i].due <= t) ask(&all[i]);
        for (int i = 0; i < ready; i++) {
            struct connection *c = &all[events[i].data.u32];
            if (c->phase == SUBMITTED || c->phase == ASKED) receive(c, stop);
            if (c->phase == CLOSED) open--;
        }
    }
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    double p50 = latency_count ? latencies[latency_count / 2] : 0, p99 = latency_count ? latencies[latency_count * 99 / 100] : 0;
    printf("{\"jobs\":%zu,\"jobs_s\":%.1f,\"requests_per_job\":%.2f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"errors\":%ld}\n",
           latency_count, latency_count / seconds, latency_count ? (double)requests / latency_count : 0, p50, p99, errors);
    return 0;
}
