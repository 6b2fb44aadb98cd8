/*
 * An independent load generator, to check the one of this bench against: it shares no code, no language and no event loop
 * with it, and only receives. One thread, epoll.
 *
 *   generator PORT CLIENTS CONCURRENCY FROM SIGNALS [HEADERS [IDLE]]
 *
 * Connects CLIENTS over WebSocket, CONCURRENCY at a time, each with the lines HEADERS in its request. Once all have their
 * `welcome` it says so in a line of JSON, with how long that took (µs, from the first connect) and the processor time of it,
 * and reads until every client has SIGNALS signals (0: for ever) or standard input ends. Then it prints a second line. Signals below
 * FROM are counted and not timed. Latency runs from the `at` stamp of a signal (µs of CLOCK_MONOTONIC) to the read that
 * brought it. For every signal that it has read it turns in a loop for IDLE ns (0 if it is not given), to be as slow as another.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

#define HEAD "42[\"new_signal\",{\"n\":\""
#define BETWEEN "\",\"at\":\""
enum { SEQ_DIGITS = 8, TIME_DIGITS = 16, ADDRESSES = 50, ROOM = 1 << 16, EVENTS = 1024, ROOM_OF_CLIENT = 8192 };

struct client {
  int fd;
  int upgraded, welcomed;
  long next; /* all signals below it came, in order */
  long got;
  size_t kept; /* bytes of a frame, or of the answer to the upgrade, that is not whole yet */
  unsigned char *rest;
};

static struct client *clients;
static long count, concurrency, from, signals, idle, connecting, welcomed, started;
static long received, out_of_order, closed;
static uint32_t *latencies;
static size_t timed, room_for;
static int epoll_fd, port;
static const char *headers = "";
static unsigned char buffer[ROOM_OF_CLIENT + ROOM];

static void die(const char *what) {
  fprintf(stderr, "generator: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void fail(const char *what) {
  fprintf(stderr, "generator: %s\n", what);
  exit(1);
}

static int64_t nanos(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t micros(clockid_t clock) { return nanos(clock) / 1000; }

/* Writes what always fits: a connection on which nothing was written yet, or a few bytes. */
static void say(struct client *client, const void *bytes, size_t length) {
  if (send(client->fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) closed++;
}

static void open_client(void) {
  struct client *client = &clients[started];
  client->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (client->fd < 0) die("socket");
  struct sockaddr_in source = {.sin_family = AF_INET}, server = {.sin_family = AF_INET, .sin_port = htons(port)};
  source.sin_addr.s_addr = htonl(0x7f000201 + started % ADDRESSES); /* 127.0.2.1 and up */
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int on = 1;
  setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(client->fd, (struct sockaddr *)&source, sizeof source) < 0) die("bind");
  if (connect(client->fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect");
  char request[4096];
  int length = snprintf(request, sizeof request,
                        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: AAAAAAAAAAAAAAA%08lx=\r\n%s\r\n",
                        port, started | 0x10000000, headers);
  if (length >= (int)sizeof request) fail("the headers are too long");
  say(client, request, length);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) < 0) die("epoll_ctl");
  started++;
  connecting++;
}

static int64_t digits(const unsigned char *text, int n) {
  int64_t value = 0;
  while (n-- > 0) value = value * 10 + *text++ - '0';
  return value;
}

static void on_signal(struct client *client, const unsigned char *text, int64_t now) {
  long n = digits(text + sizeof HEAD - 1, SEQ_DIGITS);
  int64_t due = digits(text + sizeof HEAD - 1 + SEQ_DIGITS + sizeof BETWEEN - 1, TIME_DIGITS);
  received++;
  client->got++;
  if (n != client->next) out_of_order++;
  client->next = n + 1;
  if (n >= from && timed < room_for) latencies[timed++] = now > due ? (uint32_t)(now - due) : 0;
}

static void on_frame(struct client *client, int opcode, const unsigned char *text, size_t length, int64_t now) {
  if (opcode == 8) {
    closed++;
  } else if (opcode == 9) {
    unsigned char pong[6 + 125] = {0x8a, 0x80 | length};
    memcpy(pong + 6, text, length);
    say(client, pong, 6 + length);
  } else if (length == 1 && *text == '2') {
    say(client, "\x81\x81\0\0\0\0003", 7);
  } else if (length > sizeof HEAD + SEQ_DIGITS + TIME_DIGITS && memcmp(text, HEAD, sizeof HEAD - 1) == 0) {
    on_signal(client, text, now);
  } else if (length > 12 && memcmp(text, "42[\"welcome\"", 12) == 0 && !client->welcomed) {
    client->welcomed = 1;
    welcomed++;
    connecting--;
  }
}

/* Takes all whole frames; returns how many bytes they were. */
static size_t on_bytes(struct client *client, const unsigned char *bytes, size_t length, int64_t now) {
  size_t at = 0;
  if (!client->upgraded) {
    const unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    if (memcmp(bytes, "HTTP/1.1 101", 12) != 0) {
      fprintf(stderr, "generator: refused: %.*s\n", (int)(end - bytes), bytes);
      exit(1);
    }
    client->upgraded = 1;
    say(client, "\x81\x82\0\0\0\00040", 8);
    at = end + 4 - bytes;
  }
  while (length - at >= 2) {
    const unsigned char *frame = bytes + at;
    size_t head = 2, payload = frame[1] & 127;
    if (payload > 125) head = payload == 126 ? 4 : 10;
    if (length - at < head) break;
    if (payload == 126) payload = frame[2] << 8 | frame[3];
    if (payload == 127) fail("a frame is too long");
    if (length - at < head + payload) break;
    on_frame(client, frame[0] & 15, frame + head, payload, now);
    at += head + payload;
  }
  return at;
}

static void on_readable(struct client *client) {
  /* What was kept goes before what is read, so that frames lie in one piece. */
  if (client->kept > 0) memcpy(buffer, client->rest, client->kept);
  ssize_t length = read(client->fd, buffer + client->kept, ROOM);
  if (length <= 0) {
    closed++;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
    if (!client->welcomed) fail("a connection was closed before its welcome");
    return;
  }
  size_t whole = client->kept + length;
  long before = client->got;
  size_t done = on_bytes(client, buffer, whole, micros(CLOCK_MONOTONIC));
  client->kept = whole - done;
  if (idle > 0 && client->got > before)
    for (int64_t end = nanos(CLOCK_MONOTONIC) + idle * (client->got - before); nanos(CLOCK_MONOTONIC) < end;) {
    }
  if (client->kept == 0) return;
  if (client->kept > ROOM_OF_CLIENT) fail("a frame is too long");
  if (client->rest == NULL && (client->rest = malloc(ROOM_OF_CLIENT)) == NULL) die("malloc");
  memcpy(client->rest, buffer + done, client->kept);
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static uint32_t percentile(double share) {
  if (timed == 0) return 0;
  size_t rank = (size_t)(share * timed + 0.999999);
  return latencies[rank == 0 ? 0 : rank > timed ? timed - 1 : rank - 1];
}

int main(int argc, char **argv) {
  if (argc < 6 || argc > 8) {
    fprintf(stderr, "generator PORT CLIENTS CONCURRENCY FROM SIGNALS [HEADERS [IDLE]]\n");
    return 2;
  }
  port = atoi(argv[1]);
  count = atol(argv[2]);
  concurrency = atol(argv[3]);
  from = atol(argv[4]);
  signals = atol(argv[5]);
  if (argc > 6) headers = argv[6];
  if (argc > 7) idle = atol(argv[7]);
  clients = calloc(count, sizeof *clients);
  room_for = (size_t)count * signals;
  latencies = malloc((room_for + 1) * sizeof *latencies);
  epoll_fd = epoll_create1(0);
  struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
  if (clients == NULL || latencies == NULL || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &input) < 0) die("start");
  int told = 0;
  int64_t begin = micros(CLOCK_MONOTONIC), cpu = micros(CLOCK_PROCESS_CPUTIME_ID);
  static struct epoll_event events[EVENTS];
  while (!told || signals == 0 || received < count * signals) {
    while (started < count && connecting < concurrency) open_client();
    if (!told && welcomed == count) {
      told = 1;
      int64_t now = micros(CLOCK_PROCESS_CPUTIME_ID);
      printf("{\"connectMicros\":%lld,\"cpuMicros\":%lld}\n", (long long)(micros(CLOCK_MONOTONIC) - begin),
             (long long)(now - cpu));
      fflush(stdout);
      cpu = now;
    }
    int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    int ended = 0;
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr != NULL) on_readable(events[i].data.ptr);
      else ended = 1;
    }
    if (ended) break;
  }
  cpu = micros(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  qsort(latencies, timed, sizeof *latencies, by_value);
  printf("{\"received\":%ld,\"timed\":%zu,\"outOfOrder\":%ld,\"closed\":%ld,\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u,"
         "\"cpuMicros\":%lld}\n",
         received, timed, out_of_order, closed, percentile(0.5), percentile(0.9), percentile(0.99), percentile(1),
         (long long)cpu);
  return 0;
}
