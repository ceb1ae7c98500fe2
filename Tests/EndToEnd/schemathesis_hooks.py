"""What schemathesis cannot know of the server from openapi.yaml."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    """A string is the lines; anything else, made up to be wrong, is one line of JSON."""
    return (value if isinstance(value, str) else json.dumps(value)).encode()


@schemathesis.serializer("application/octet-stream")
def serialize_bytes(context, value):
    """Bytes as they are; anything else, made up to be wrong, as text."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.hook
def map_body(context, body):
    """Names a function that is there, lest nearly all submissions be refused for that alone."""
    for submission in body if isinstance(body, list) else [body]:
        if isinstance(submission, dict) and isinstance(submission.get("function"), str):
            if 1 <= len(submission["function"].encode()) <= 200:
                submission["function"] = "echo"
    return body


@schemathesis.hook
def map_query(context, query):
    """Bounds the answer that would go on as long as its job waits."""
    if context.operation.path.endswith("/logs") and query:
        query.pop("follow", None)
    if context.operation.path.endswith("/items"):
        query = dict(query or {})
        query.setdefault("wait", 0.01)
    return query
