#include <stddef.h>
#include <stdint.h>

/// libFuzzer's own loop, which calls `callback` with one input after another.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *, size_t));
