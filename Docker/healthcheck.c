// The container's HEALTHCHECK: asks 127.0.0.1:PORT for a path, exits 0 on status 200, else 1.
// A program of its own, so that it runs in an image without shell or curl.
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int failed(const char *step) {
    perror(step);
    return 1;
}

int main(int count, char **arguments) {
    const int port = count > 1 ? atoi(arguments[1]) : 8080;
    const char *path = count > 2 ? arguments[2] : "/readyz";
    int channel = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (channel < 0) return failed("socket");
    struct timeval limit = {.tv_sec = 3};
    setsockopt(channel, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(channel, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(channel, (struct sockaddr *)&address, sizeof address) < 0) return failed("connect");

    char text[1024];
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n", path, port);
    if (size < 0 || size >= (int)sizeof text) return fputs("the path is too long\n", stderr), 1;
    if (write(channel, text, (size_t)size) != size) return failed("write");
    size_t filled = 0;
    ssize_t more;
    while (filled < sizeof text - 1 && (more = read(channel, text + filled, sizeof text - 1 - filled)) > 0)
        filled += (size_t)more;
    text[filled] = 0;
    fputs(text, stdout);  // `docker inspect` shows it
    return strncmp(text, "HTTP/1.1 200", 12) == 0 ? 0 : 1;
}
