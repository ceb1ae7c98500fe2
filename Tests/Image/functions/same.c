// A command function for the image from scratch: returns its arguments as they came.
#include <unistd.h>

int main(void) {
    char bytes[4096];
    ssize_t count;
    while ((count = read(0, bytes, sizeof bytes)) > 0)
        if (write(1, bytes, (size_t)count) != count) return 1;
    return count < 0;
}
