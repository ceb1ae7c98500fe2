"""Type hints → JSON Schema of a function's arguments.

Reads the code object and `__annotations__` directly: `inspect` and `typing` cost 10 ms to import,
which every worker would pay at its start. Whatever is not understood becomes `{}`, "anything".
"""

import sys

from .functions import HAS_VARIADIC_NAMED, HAS_VARIADIC_POSITIONAL

PLAIN = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    list: {"type": "array"},
    tuple: {"type": "array"},
    dict: {"type": "object"},
}
LISTS = ("Sequence", "MutableSequence", "Iterable", "Collection", "Iterator")
MAPPINGS = ("Mapping", "MutableMapping")
# Types may name themselves; JSON Schema's $ref is not worth its weight for this.
MAX_DEPTH = 8


def parameters(target):
    """The schema of the arguments as one object by name.

    `x-positional` lists the names that may be given by position, in order; `x-variadic` is the
    schema of each further positional argument of a function with `*args`.
    """
    given = {}
    while True:  # Down to the function itself, behind decorators and partials.
        inner = getattr(target, "__wrapped__", None)
        if inner is None and not hasattr(target, "__code__") and hasattr(target, "func"):
            inner = target.func
            if target.args:  # Which names remain is not worth finding out.
                return {"type": "object"}
            given = {**(target.keywords or {}), **given}
        if inner is None:
            break
        target = inner
    code = getattr(target, "__code__", None)
    if code is None:
        return {"type": "object"}
    hints = annotations(target)
    scope = getattr(target, "__globals__", {})
    names = code.co_varnames
    positional = names[:code.co_argcount]
    count = code.co_argcount + code.co_kwonlyargcount
    named = names[code.co_argcount:count]
    values = target.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(values):], values))
    defaults.update(target.__kwdefaults__ or {})
    defaults.update(given)

    properties = {}
    for name in positional + named:
        schema = dict(of(hints[name], scope)) if name in hints else {}
        if name in defaults and is_scalar(defaults[name]):
            schema["default"] = defaults[name]
        properties[name] = schema
    result = {
        "type": "object",
        "properties": properties,
        "required": [name for name in positional + named if name not in defaults],
        "additionalProperties": False,
        "x-positional": list(positional),
    }
    if code.co_flags & HAS_VARIADIC_POSITIONAL:
        result["x-variadic"] = of(hints[names[count]], scope) if names[count] in hints else {}
        count += 1
    if code.co_flags & HAS_VARIADIC_NAMED:
        hint = hints.get(names[count])
        result["additionalProperties"] = True if hint is None else of(hint, scope) or True
    return result


def annotations(target):
    """`__annotations__`, or nothing when it cannot be had (it may run code from Python 3.14 on)."""
    try:
        return target.__annotations__ or {}
    except Exception:
        return {}


def is_scalar(value):
    """Whether a default can be shown in JSON as it is."""
    if type(value) is float:
        return value - value == 0  # Neither infinite nor NaN.
    return value is None or type(value) in (bool, str) or (type(value) is int and
                                                           abs(value) < 1 << 63)


def of(hint, scope, depth=0):
    """The schema of one annotation; `scope` resolves those that are strings."""
    try:
        return _of(hint, scope, depth)
    except Exception:  # An unknown name in a string, an odd object: "anything" is always true.
        return {}


def _of(hint, scope, depth):
    if depth > MAX_DEPTH:
        return {}
    text = hint if isinstance(hint, str) else getattr(hint, "__forward_arg__", None)
    if text is not None:
        return of(eval(text, scope), scope, depth + 1)
    if hint is None or isinstance(hint, type) and hint in PLAIN and not hasattr(hint, "__args__"):
        return dict(PLAIN[hint])
    if hasattr(hint, "__metadata__"):  # Annotated[T, …]
        return of(hint.__origin__, scope, depth + 1)
    if hasattr(hint, "__supertype__"):  # NewType
        return of(hint.__supertype__, scope, depth + 1)
    origin = getattr(hint, "__origin__", None)
    if origin is not None or type(hint).__name__ == "UnionType":
        return generic(hint, origin, scope, depth)
    if isinstance(hint, type):
        return of_class(hint, depth)
    return {}


def generic(hint, origin, scope, depth):
    """list[int], Optional[str], int | None, Literal["a"], …"""
    arguments = getattr(hint, "__args__", ())
    typing = sys.modules.get("typing")
    if type(hint).__name__ == "UnionType" or typing and origin is typing.Union:
        return union([of(each, scope, depth + 1) for each in arguments])
    if typing and origin is typing.Literal:
        return {"enum": list(arguments)} if all(map(is_scalar, arguments)) else {}
    if getattr(origin, "_name", None) in ("Required", "NotRequired", "ReadOnly", "Final"):
        return of(arguments[0], scope, depth + 1)
    name = getattr(origin, "__name__", "")
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return with_member({"type": "array"}, "items", of(arguments[0], scope, depth + 1))
        if any(type(each).__name__ == "TypeVar" for each in arguments):
            return {"type": "array"}
        arguments = () if arguments == ((),) else arguments
        return {"type": "array", "prefixItems": [of(each, scope, depth + 1) for each in arguments],
                "minItems": len(arguments), "maxItems": len(arguments)}
    if origin is list or name in LISTS:
        item = of(arguments[0], scope, depth + 1) if arguments else {}
        return with_member({"type": "array"}, "items", item)
    if origin is dict or name in MAPPINGS:
        value = of(arguments[1], scope, depth + 1) if len(arguments) == 2 else {}
        return with_member({"type": "object"}, "additionalProperties", value)
    return of_class(origin, depth) if isinstance(origin, type) else {}


def with_member(schema, name, value):
    """Adds a member unless it says nothing."""
    return {**schema, name: value} if value else schema


def union(members):
    """At best a list of type names, else `anyOf`; one that says nothing makes all say nothing."""
    if not all(members):
        return {}
    if all(list(member) == ["type"] and isinstance(member["type"], str) for member in members):
        types = list(dict.fromkeys(member["type"] for member in members))
        return {"type": types[0] if len(types) == 1 else types}
    return {"anyOf": members}


def of_class(hint, depth):
    """TypedDict and dataclass: an object with members. Enum: its values."""
    module = sys.modules.get(hint.__module__)
    scope = vars(module) if module else {}
    if issubclass(hint, dict) and hasattr(hint, "__total__"):
        members = hint.__annotations__
        required = [name for name in members if name in hint.__required_keys__]
    elif hasattr(hint, "__dataclass_fields__"):
        missing = sys.modules["dataclasses"].MISSING
        fields = [each for each in hint.__dataclass_fields__.values()
                  if each.init and each._field_type is sys.modules["dataclasses"]._FIELD]
        members = {each.name: each.type for each in fields}
        required = [each.name for each in fields
                    if each.default is missing and each.default_factory is missing]
    elif hasattr(hint, "__members__") and hint.__members__:
        values = [member.value for member in hint.__members__.values()]
        return {"enum": values} if all(map(is_scalar, values)) else {}
    else:
        return {}
    return {
        "type": "object",
        "properties": {name: of(each, scope, depth + 1) for name, each in members.items()},
        "required": required,
    }
