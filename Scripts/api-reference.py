#!/usr/bin/env python3
"""Writes Dashboard/docs.html, the API reference, from openapi.yaml.

    api-reference.py          writes it
    api-reference.py --check  exits 1 if it is not what would be written

The page is whole in itself: no script, no font, no request. Wants PyYAML (Debian: python3-yaml).
"""

import html
import json
import os
import re
import shlex
import sys

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = ROOT + "/Dashboard/docs.html"
METHODS = ("get", "post", "put", "patch", "delete")
# Keywords of JSON Schema that bound a value from below and above, and what they count.
RANGES = [
    ("minimum", "maximum", ""), ("exclusiveMinimum", "exclusiveMaximum", ", these not included"),
    ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " members"),
]


# --- Text --------------------------------------------------------------------------------------

def text(value):
    return html.escape(str(value), quote=True)


def inline(value):
    """Escaped, with `code` marked; the only Markdown that the description uses."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(value))


def prose(value):
    paragraphs = re.split(r"\n\s*\n", (value or "").strip())
    return "".join("<p>%s</p>" % inline(" ".join(each.split())) for each in paragraphs if each)


def code(value):
    return "<code>%s</code>" % text(value)


def literal(value):
    """A value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def anchor(method, path):
    return "%s-%s" % (method, re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-"))


# --- Schemas -----------------------------------------------------------------------------------

def kind(schema):
    """What a value is, in a few words; named schemas are links."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return '<a href="#schema-%s">%s</a>' % (text(name.lower()), text(name))
    for keyword in ("oneOf", "anyOf"):
        if keyword in schema:
            return " or ".join(kind(each) for each in schema[keyword])
    if "allOf" in schema:
        return " and ".join(kind(each) for each in schema["allOf"])
    if "const" in schema:
        return code(literal(schema["const"]))
    if "enum" in schema:
        return " · ".join(code(literal(each)) for each in schema["enum"])
    types = schema.get("type", "any value")
    types = [types] if isinstance(types, str) else types
    words = [array_of(schema) if each == "array" else text(each) for each in types]
    if "format" in schema:
        words[0] += " (%s)" % text(schema["format"])
    return " or ".join(words)


def array_of(schema):
    if not schema.get("items"):
        return "array"
    of = kind(schema["items"])
    return "array of %s" % (of + "s" if of in ("object", "string", "number", "integer") else of)


def limits(schema):
    """How a value is bounded, in soft letters."""
    said = []
    for low, high, unit in RANGES:
        if low in schema and high in schema:
            said.append("%s to %s%s" % (schema[low], schema[high], unit))
        elif high in schema:
            said.append("at most %s%s" % (schema[high], unit))
        elif low in schema:
            said.append("%s or more%s" % (schema[low], unit))
    if "pattern" in schema:
        said.append("matches %s" % schema["pattern"])
    if "default" in schema:
        said.append("if not given %s" % literal(schema["default"]))
    return " <span class=soft>%s</span>" % text(", ".join(said)) if said else ""


def members(schema):
    """The members of an object as a definition list; nothing for other values."""
    schema = schema or {}
    inner = schema.get("items") if schema.get("type") == "array" else None
    if inner and "$ref" not in inner:
        return members(inner)
    rows = [member(name, value, name in schema.get("required", ()))
            for name, value in schema.get("properties", {}).items()]
    rows += [member(name, {}, True) for name in schema.get("required", ())
             if name not in schema.get("properties", {})]
    return "<dl class=members>%s</dl>" % "".join(rows) if rows else ""


def member(name, schema, is_required):
    return entry(name, schema, "required" if is_required else "", members(schema))


def entry(name, schema, notes, inside="", description=None, bounded=None):
    """A named value: what it is, what bounds it, what it means."""
    return "<dt>%s <span class=kind>%s</span>%s%s</dt><dd>%s%s</dd>" % (
        code(name), kind(schema), limits(bounded or schema),
        ' <b>%s</b>' % notes if notes else "",
        prose(description or schema.get("description")), inside)


# --- Operations --------------------------------------------------------------------------------

class Reference:
    """The description, and the page made of it."""

    def __init__(self, document):
        self.document = document

    def resolve(self, value):
        """What a reference stands for."""
        while "$ref" in value:
            target = self.document
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            value = target
        return value

    def operations(self):
        """Path, method and operation, each with the parameters of its path."""
        for path, item in self.document["paths"].items():
            for method in item:
                if method in METHODS:
                    given = item.get("parameters", []) + item[method].get("parameters", [])
                    yield path, method, dict(item[method], parameters=given)

    def operation(self, path, method, operation):
        identity = anchor(method, path)
        return """<section id="%s" class=operation>
<h2><a href="#%s"><span class="method %s">%s</span> <code>%s</code></a></h2>
<p class=summary>%s</p>%s%s%s%s
<h3>Answers</h3>%s
</section>
""" % (identity, identity, method, method.upper(), self.breakable(path),
            inline(operation.get("summary", "")), prose(operation.get("description")),
            self.parameters(operation["parameters"]), self.body(operation.get("requestBody")),
            self.example_call(path, method, operation), self.answers(operation["responses"]))

    @staticmethod
    def breakable(path):
        return text(path).replace("/", "/<wbr>").replace("/<wbr>", "/", 1)

    def parameters(self, parameters):
        rows = []
        for parameter in map(self.resolve, parameters):
            schema = parameter.get("schema", {})
            place = "in the " + parameter["in"] + (", required" if parameter.get("required") else "")
            rows.append(entry(parameter["name"], schema, place,
                              description=parameter.get("description"), bounded=self.resolve(schema)))
        return "<h3>Parameters</h3><dl class=members>%s</dl>" % "".join(rows) if rows else ""

    def body(self, body):
        if not body:
            return ""
        body = self.resolve(body)
        return "<h3>Body</h3>%s%s" % (prose(body.get("description")), self.content(body["content"]))

    def content(self, content):
        parts = []
        for media, value in content.items():
            schema = value.get("schema", {})
            parts.append("<p class=content><code>%s</code> <span class=kind>%s</span>%s</p>%s%s%s" % (
                text(media), kind(schema), limits(schema), prose(schema.get("description")),
                members(schema), self.examples(value)))
        return "".join(parts)

    def examples(self, value):
        shown = [("Example", value["example"])] if "example" in value else []
        shown += [(each.get("summary", "Example"), each["value"])
                  for each in value.get("examples", {}).values() if "value" in each]
        return "".join("<figure><figcaption>%s</figcaption><pre tabindex=0>%s</pre></figure>" % (
            inline(title), text(example if isinstance(example, str) else literal(example)))
            for title, example in shown)

    def example_call(self, path, method, operation):
        """A curl command that asks for it."""
        words = ["curl"] + (["-X", method.upper()] if method not in ("get", "post") else [])
        body = self.resolve(operation.get("requestBody") or {}).get("content", {})
        media = body.get("application/json")
        if media:
            words += ["--json", shlex.quote(literal(self.first_example(media)))]
        elif method == "post":
            words += ["-X", "POST"]
        words.append("localhost:8080" + re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), path))
        return "<h3>Call</h3><pre tabindex=0>%s</pre>" % text(" ".join(words))

    def first_example(self, media):
        if "example" in media:
            return media["example"]
        for example in media.get("examples", {}).values():
            return example["value"]
        plain = {"function": "square", "args": [12]}
        return [plain] if media.get("schema", {}).get("type") == "array" else plain

    def answers(self, responses):
        rows = []
        for status, response in responses.items():
            response = self.resolve(response)
            summary = '<span class="status s%s">%s</span> %s' % (
                text(status)[0], text(status), inline(" ".join(response.get("description", "").split())))
            inside = self.headers(response.get("headers", {})) + self.content(response.get("content", {}))
            rows.append("<details><summary>%s</summary>%s</details>" % (summary, inside)
                        if inside else "<div class=answer>%s</div>" % summary)
        return "".join(rows)

    def headers(self, headers):
        rows = [(name, self.resolve(header)) for name, header in headers.items()]
        return "<dl class=members>%s</dl>" % "".join(
            entry(name, header.get("schema", {}), "header field", description=header.get("description"))
            for name, header in rows) if rows else ""

    def schema(self, name, schema):
        identity = "schema-" + name.lower()
        return """<section id="%s" class=schema>
<h2><a href="#%s">%s</a></h2>
<p class=summary><span class=kind>%s</span>%s</p>%s%s
</section>
""" % (identity, identity, text(name), kind(schema), limits(schema),
            prose(schema.get("description")), members(schema))

    def navigation(self):
        items = ['<li><a href="#%s"><span class="method %s">%s</span> <code>%s</code></a></li>' % (
            anchor(method, path), method, method.upper(), self.breakable(path))
            for path, method, _ in self.operations()]
        schemas = ['<li><a href="#schema-%s">%s</a></li>' % (text(name.lower()), text(name))
                   for name in self.document.get("components", {}).get("schemas", {})]
        return "<h2>Calls</h2><ul>%s</ul><h2>Values</h2><ul>%s</ul>" % (
            "\n".join(items), "\n".join(schemas))

    def page(self, style):
        info = self.document["info"]
        schemas = self.document.get("components", {}).get("schemas", {})
        return """<!DOCTYPE html>
<!-- Made from openapi.yaml by Scripts/api-reference.py; change those. -->
<html lang=en>
<head>
<meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1">
<meta name=color-scheme content="light dark">
<title>%s API, version %s</title>
<link rel=icon href="data:,">
<style>
%s</style>
</head>
<body>
<a class=to-contents href="#contents">Contents</a>
<main>
<h1>%s API <small>version %s</small></h1>
%s<p>The same for programs: <a href="/openapi.yaml">openapi.yaml</a>.</p>
%s
<h1>Values</h1>
%s</main>
<nav id=contents aria-label="Contents">
%s
</nav>
</body>
</html>
""" % (text(info["title"]), text(info["version"]), style,
            text(info["title"]), text(info["version"]),
            prose(info.get("description") or info.get("summary")),
            "".join(self.operation(*each) for each in self.operations()),
            "".join(self.schema(name, schema) for name, schema in schemas.items()),
            self.navigation())


def made():
    """The page as openapi.yaml wants it now."""
    with open(ROOT + "/openapi.yaml", encoding="utf-8") as file:
        document = yaml.safe_load(file)
    with open(ROOT + "/Scripts/api-reference.css", encoding="utf-8") as file:
        return Reference(document).page(file.read())


def main():
    page = made()
    if sys.argv[1:] == ["--check"]:
        with open(PAGE, encoding="utf-8") as file:
            if file.read() != page:
                sys.exit("Dashboard/docs.html is not what openapi.yaml says: run Scripts/api-reference.py")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(page)


if __name__ == "__main__":
    main()
