// libcurl's setters and getters are variadic, which Swift cannot call: one function a type.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

static inline CURLcode ccurl_start(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }

static inline void ccurl_set(CURL *easy, CURLoption option, long value) {
    curl_easy_setopt(easy, option, value);
}

static inline void ccurl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
    curl_easy_setopt(easy, option, value);
}

/// Copied by libcurl, but for `CURLOPT_POSTFIELDS`.
static inline CURLcode ccurl_set_text(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline void ccurl_set_pointer(CURL *easy, CURLoption option, void *value) {
    curl_easy_setopt(easy, option, value);
}

/// Copies a body of `size` bytes, which may be none.
static inline CURLcode ccurl_set_body(CURL *easy, const void *bytes, size_t size) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    return curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, size ? bytes : "");
}

/// Every callback of a transfer is handed `context`.
static inline void ccurl_set_callbacks(
    CURL *easy, curl_write_callback header, curl_write_callback body,
    curl_opensocket_callback socket, void *context) {
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, context);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, context);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, context);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, context);
}

static inline void *ccurl_context(CURL *easy) {
    char *context = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &context);
    return context;
}

static inline long ccurl_get(CURL *easy, CURLINFO info) {
    long value = 0;
    curl_easy_getinfo(easy, info, &value);
    return value;
}

static inline curl_off_t ccurl_get_size(CURL *easy, CURLINFO info) {
    curl_off_t value = 0;
    curl_easy_getinfo(easy, info, &value);
    return value;
}

/// Valid until the handle is used again; NULL when there is none.
static inline const char *ccurl_get_text(CURL *easy, CURLINFO info) {
    char *value = NULL;
    curl_easy_getinfo(easy, info, &value);
    return value;
}

static inline void ccurl_multi_set(CURLM *multi, CURLMoption option, long value) {
    curl_multi_setopt(multi, option, value);
}

static inline void ccurl_multi_set_callbacks(
    CURLM *multi, curl_socket_callback socket, curl_multi_timer_callback timer, void *context) {
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
}

/// A body of unknown length, asked for piece by piece.
static inline void ccurl_set_reader(CURL *easy, curl_read_callback read, void *context) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, read);
    curl_easy_setopt(easy, CURLOPT_READDATA, context);
}

/// Goes on with a body whose reader had nothing to give.
static inline void ccurl_go_on(CURL *easy) { curl_easy_pause(easy, CURLPAUSE_CONT); }

/// The address that libcurl is about to connect to.
static inline const struct sockaddr *ccurl_address(const struct curl_sockaddr *target) {
    return &target->addr;
}
