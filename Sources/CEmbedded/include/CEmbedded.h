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
const struct embedded_file *embedded_python(size_t *count);

/// The pages of the dashboard and what they load.
const struct embedded_file *embedded_dashboard(size_t *count);

/// The description of the HTTP interface.
extern const struct embedded_file embedded_openapi;

#endif
