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
static const unsigned char python_reports[] = {
#embed "../../Python/martlet/reports.py"
};
static const unsigned char python_pickled[] = {
#embed "../../Python/martlet/pickled.py"
};
static const unsigned char python_errors[] = {
#embed "../../Python/martlet/errors.py"
};
static const unsigned char python_wire[] = {
#embed "../../Python/martlet/wire.py"
};
static const unsigned char python_operations[] = {
#embed "../../Python/martlet/operations.py"
};
static const unsigned char python_client[] = {
#embed "../../Python/martlet/client.py"
};
static const unsigned char python_async_client[] = {
#embed "../../Python/martlet/async_client.py"
};
static const unsigned char python_parcels[] = {
#embed "../../Python/martlet/parcels.py"
};
static const unsigned char python_courier[] = {
#embed "../../Python/martlet/courier.py"
};
static const unsigned char python_executor[] = {
#embed "../../Python/martlet/executor.py"
};
static const unsigned char python_imap[] = {
#embed "../../Python/martlet/imap.py"
};
static const unsigned char python_pool[] = {
#embed "../../Python/martlet/pool.py"
};
static const unsigned char python_joblib_backend[] = {
#embed "../../Python/martlet/joblib_backend.py"
};
static const unsigned char openapi[] = {
#embed "../../openapi.yaml"
};

#define PYTHON(name, bytes) {"martlet/" name ".py", bytes, sizeof bytes}

// What a worker imports is in the first six; the rest is for functions that use the client.
static const struct embedded_file python[] = {
    PYTHON("__init__", python_init),
    PYTHON("functions", python_functions),
    PYTHON("schema", python_schema),
    PYTHON("worker", python_worker),
    PYTHON("reports", python_reports),
    PYTHON("pickled", python_pickled),
    PYTHON("errors", python_errors),
    PYTHON("wire", python_wire),
    PYTHON("operations", python_operations),
    PYTHON("client", python_client),
    PYTHON("async_client", python_async_client),
    PYTHON("parcels", python_parcels),
    PYTHON("courier", python_courier),
    PYTHON("executor", python_executor),
    PYTHON("imap", python_imap),
    PYTHON("pool", python_pool),
    PYTHON("joblib_backend", python_joblib_backend),
};
const struct embedded_file *embedded_python(size_t *count) {
    *count = sizeof python / sizeof python[0];
    return python;
}

const struct embedded_file embedded_openapi = {"openapi.yaml", openapi, sizeof openapi};
