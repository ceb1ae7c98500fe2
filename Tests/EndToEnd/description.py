"""Holds answers against openapi.yaml."""

import json
import re
from datetime import datetime

from service import use_packages

use_packages()
import jsonschema  # noqa: E402
import yaml  # noqa: E402

METHODS = ("get", "post", "put", "patch", "delete")


class Description:
    """The description that a server serves."""

    def __init__(self, text):
        self.document = yaml.safe_load(text)
        self.components = closed(self.document["components"])
        self.seen = set()

    def operations(self):
        """Path, method and operation, each with the parameters of its path."""
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method.upper(), item[method]

    def answers(self):
        """Everything that it says may be answered: path, method, status."""
        return {(path, method, int(status)) for path, method, operation in self.operations()
                for status in operation["responses"]}

    def resolve(self, value):
        """What a reference stands for."""
        while "$ref" in value:
            target = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            value = target
        return value

    def check(self, method, path, answer):
        """Raises if an answer is not as described; notes that it has been seen."""
        status, headers, body = answer
        responses = self.document["paths"][path][method.lower()]["responses"]
        if str(status) not in responses:
            raise AssertionError("%s %s answers %d, undescribed: %r" % (method, path, status, body))
        self.seen.add((path, method, status))
        response = self.resolve(responses[str(status)])
        for name, header in response.get("headers", {}).items():
            self.check_header(headers.get(name), self.resolve(header), name)
        if "content" not in response:
            if body:
                raise AssertionError("%s %s: %d with content %r" % (method, path, status, body))
            return
        kind = headers["Content-Type"]
        if kind not in response["content"]:
            raise AssertionError("%s %s answers %d with %s" % (method, path, status, kind))
        if kind == "application/octet-stream":
            return  # any bytes
        value = yaml.safe_load(body) if kind == "application/yaml" else (
            body.decode() if kind == "application/x-ndjson" or kind.startswith("text/")
            else json.loads(body))
        self.validate(value, response["content"][kind]["schema"])

    def check_header(self, value, header, name):
        if value is None:
            if header.get("required"):
                raise AssertionError("there is no header field " + name)
            return
        schema = header["schema"]
        self.validate(int(value) if schema.get("type") == "integer" else value, schema)

    def validate(self, value, schema):
        """Raises if a value does not match, or has a member that the schema does not name."""
        whole = {"allOf": [closed(schema)], "components": self.components}
        jsonschema.Draft202012Validator(whole, format_checker=FORMATS).validate(value)


def closed(schema):
    """The schema with no object open to members that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


FORMATS = jsonschema.FormatChecker(["uuid"])


@FORMATS.checks("date-time", raises=ValueError)
def is_time(text):
    """RFC 3339, as strictly as the server writes it: UTC, microseconds."""
    if not isinstance(text, str):
        return True
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text) is None:
        return False
    datetime.fromisoformat(text.replace("Z", "+00:00"))
    return True
