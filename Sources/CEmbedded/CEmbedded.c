#include "CEmbedded.h"

static const unsigned char python_init[] = {
#embed "../../Python/martlet/__init__.py"
};
static const unsigned char python_functions[] = {
#embed "../../Python/martlet/functions.py"
};
static const unsigned char python_schema[] = {
#embed "../../Python/martlet/schema.py"
};
static const unsigned char python_worker[] = {
#embed "../../Python/martlet/worker.py"
};
static const unsigned char openapi[] = {
#embed "../../openapi.yaml"
};

static const struct embedded_file python[] = {
    {"martlet/__init__.py", python_init, sizeof python_init},
    {"martlet/functions.py", python_functions, sizeof python_functions},
    {"martlet/schema.py", python_schema, sizeof python_schema},
    {"martlet/worker.py", python_worker, sizeof python_worker},
};
const struct embedded_file *embedded_python(size_t *count) {
    *count = sizeof python / sizeof python[0];
    return python;
}

const struct embedded_file embedded_openapi = {"openapi.yaml", openapi, sizeof openapi};
