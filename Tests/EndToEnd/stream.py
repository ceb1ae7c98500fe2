"""Reads server-sent events from a server."""

import http.client
import json


class EventSource:
    """A stream of events; iterate over it, or close it as a client does that hangs up."""

    def __init__(self, server, path, headers=None, timeout=30):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
        self.connection.request("GET", path, headers=headers or {})
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.last = None

    def __iter__(self):
        """Name and data of each event, until the stream ends."""
        fields = {}
        for line in self.response:
            line = line.decode().rstrip("\n")
            if not line:
                if "event" in fields:
                    self.last = fields["id"]
                    yield fields["event"], json.loads(fields["data"])
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def until(self, wanted):
        """The events up to the first that is wanted."""
        seen = []
        for name, data in self:
            seen.append((name, data))
            if wanted(name, data):
                return seen
        raise AssertionError("the stream ended before: %r" % seen)

    def states(self, job=None):
        """The states told until the end of the stream, or of the job if one is named."""
        told = []
        for name, data in self:
            if name == "state" and job in (None, data["job"]):
                told.append(data["state"])
                if job and told[-1] in ("succeeded", "failed", "cancelled"):
                    break
        return told

    def close(self):
        self.response.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
