// Files of the repository that the binary carries.
#ifndef CEMBEDDED_H
#define CEMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name;             ///< path below its folder
    const unsigned char *bytes;
    size_t size;
};

/// The Python package `martlet`, for the workers.
extern const struct embedded_file embedded_python[];
extern const size_t embedded_python_count;

/// The description of the HTTP interface.
extern const struct embedded_file embedded_openapi;

#endif
