#include "CEmbedded.h"

static const unsigned char python_init[] = {
#embed "../../Python/martlet/__init__.py"
};
static const unsigned char python_functions[] = {
#embed "../../Python/martlet/functions.py"
};
static const unsigned char python_limits[] = {
#embed "../../Python/martlet/limits.py"
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
static const unsigned char python_slots[] = {
#embed "../../Python/martlet/slots.py"
};
static const unsigned char python_pickled[] = {
#embed "../../Python/martlet/pickled.py"
};
static const unsigned char python_blobs[] = {
#embed "../../Python/martlet/blobs.py"
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
static const unsigned char python_maps[] = {
#embed "../../Python/martlet/maps.py"
};
static const unsigned char python_uploads[] = {
#embed "../../Python/martlet/uploads.py"
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
static const unsigned char dashboard_index_html[] = {
#embed "../../Dashboard/index.html"
};
static const unsigned char dashboard_style_css[] = {
#embed "../../Dashboard/style.css"
};
static const unsigned char dashboard_main_js[] = {
#embed "../../Dashboard/main.js"
};
static const unsigned char dashboard_api_js[] = {
#embed "../../Dashboard/api.js"
};
static const unsigned char dashboard_live_js[] = {
#embed "../../Dashboard/live.js"
};
static const unsigned char dashboard_dom_js[] = {
#embed "../../Dashboard/dom.js"
};
static const unsigned char dashboard_format_js[] = {
#embed "../../Dashboard/format.js"
};
static const unsigned char dashboard_json_js[] = {
#embed "../../Dashboard/json.js"
};
static const unsigned char dashboard_charts_js[] = {
#embed "../../Dashboard/charts.js"
};
static const unsigned char dashboard_history_js[] = {
#embed "../../Dashboard/history.js"
};
static const unsigned char dashboard_parts_js[] = {
#embed "../../Dashboard/parts.js"
};
static const unsigned char dashboard_log_js[] = {
#embed "../../Dashboard/log.js"
};
static const unsigned char dashboard_icon_svg[] = {
#embed "../../Dashboard/icon.svg"
};
static const unsigned char dashboard_metrics_js[] = {
#embed "../../Dashboard/metrics.js"
};
static const unsigned char dashboard_overview_js[] = {
#embed "../../Dashboard/overview.js"
};
static const unsigned char dashboard_jobs_js[] = {
#embed "../../Dashboard/jobs.js"
};
static const unsigned char dashboard_job_js[] = {
#embed "../../Dashboard/job.js"
};
static const unsigned char dashboard_items_js[] = {
#embed "../../Dashboard/items.js"
};
static const unsigned char dashboard_functions_js[] = {
#embed "../../Dashboard/functions.js"
};
static const unsigned char dashboard_form_js[] = {
#embed "../../Dashboard/form.js"
};
static const unsigned char dashboard_pools_js[] = {
#embed "../../Dashboard/pools.js"
};
static const unsigned char dashboard_queues_js[] = {
#embed "../../Dashboard/queues.js"
};
static const unsigned char dashboard_docs_html[] = {
#embed "../../Dashboard/docs.html"
};

#define PYTHON(name, bytes) {"martlet/" name ".py", bytes, sizeof bytes}

// What a worker imports is in the first seven; the rest is for functions that use the client.
static const struct embedded_file python[] = {
    PYTHON("__init__", python_init),
    PYTHON("functions", python_functions),
    PYTHON("limits", python_limits),
    PYTHON("schema", python_schema),
    PYTHON("worker", python_worker),
    PYTHON("reports", python_reports),
    PYTHON("slots", python_slots),
    PYTHON("blobs", python_blobs),
    PYTHON("pickled", python_pickled),
    PYTHON("errors", python_errors),
    PYTHON("wire", python_wire),
    PYTHON("operations", python_operations),
    PYTHON("maps", python_maps),
    PYTHON("uploads", python_uploads),
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

#define DASHBOARD(name, bytes) {name, bytes, sizeof bytes}

static const struct embedded_file dashboard[] = {
    DASHBOARD("index.html", dashboard_index_html),
    DASHBOARD("style.css", dashboard_style_css),
    DASHBOARD("main.js", dashboard_main_js),
    DASHBOARD("api.js", dashboard_api_js),
    DASHBOARD("live.js", dashboard_live_js),
    DASHBOARD("dom.js", dashboard_dom_js),
    DASHBOARD("format.js", dashboard_format_js),
    DASHBOARD("json.js", dashboard_json_js),
    DASHBOARD("charts.js", dashboard_charts_js),
    DASHBOARD("history.js", dashboard_history_js),
    DASHBOARD("parts.js", dashboard_parts_js),
    DASHBOARD("log.js", dashboard_log_js),
    DASHBOARD("icon.svg", dashboard_icon_svg),
    DASHBOARD("metrics.js", dashboard_metrics_js),
    DASHBOARD("overview.js", dashboard_overview_js),
    DASHBOARD("jobs.js", dashboard_jobs_js),
    DASHBOARD("job.js", dashboard_job_js),
    DASHBOARD("items.js", dashboard_items_js),
    DASHBOARD("functions.js", dashboard_functions_js),
    DASHBOARD("form.js", dashboard_form_js),
    DASHBOARD("pools.js", dashboard_pools_js),
    DASHBOARD("queues.js", dashboard_queues_js),
    DASHBOARD("docs.html", dashboard_docs_html),
};

const struct embedded_file *embedded_dashboard(size_t *count) {
    *count = sizeof dashboard / sizeof dashboard[0];
    return dashboard;
}
