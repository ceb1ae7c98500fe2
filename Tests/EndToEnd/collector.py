"""A collector of OpenTelemetry spans (OTLP over HTTP, JSON) that keeps what it gets."""

import http.server
import json
import threading


class Collector:
    """Listens on a free port of loopback; use it with `with`.

    `answers` are statuses that the next requests get; when there are none left it is 200.
    """

    def __init__(self):
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                answer = collector.body if status == 200 else b"{}"
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.requests, self.spans, self.answers, self.body = [], [], [], b"{}"
        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def take(self, path, headers, body):
        with self.lock:
            self.requests.append((path, headers))
            status = self.answers.pop(0) if self.answers else 200
            if status == 200:
                for resource in json.loads(body)["resourceSpans"]:
                    for scope in resource["scopeSpans"]:
                        self.spans += [dict(span, resource=resource["resource"])
                                       for span in scope["spans"]]
            return status

    def named(self, name):
        with self.lock:
            return [span for span in self.spans if span["name"] == name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def attributes(span):
    """The attributes of a span or resource as a dictionary."""
    found = {}
    for attribute in span["attributes"]:
        value = attribute["value"]
        found[attribute["key"]] = (
            int(value["intValue"]) if "intValue" in value else value["stringValue"])
    return found
