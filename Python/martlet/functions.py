"""The decorator `@martlet.function` and the registry that it fills."""

POOLS = ("thread", "process", "async")
# Least and greatest value of the members that are numbers; the delays are in seconds.
RETRY_LIMITS = {
    "max_attempts": (1, 100),
    "initial": (0, 31_536_000),
    "factor": (1, 100),
    "max_delay": (0, 31_536_000),
    "jitter": (0, 1),
}
BACKOFFS = ("constant", "exponential")
# Least and greatest value of what one call may use.
LIMITS = {
    "max_memory_bytes": (1 << 20, 1 << 50),
    "max_cpu_seconds": (1, 1_000_000_000),
    "max_output_bytes": (1, 1 << 40),
}

# Flags of a code object (documented in `inspect`, whose import costs more than all of this package).
HAS_VARIADIC_POSITIONAL = 0x04
HAS_VARIADIC_NAMED = 0x08
IS_COROUTINE = 0x80


class Permanent(Exception):
    """Raised by a function whose failure would only repeat: the job is not tried again."""


class Retry(Exception):
    """Raised by a function that wants its next attempt, if there is one, `after` some seconds.

    They are a timedelta or a number of any library; less than none is none. Anything else is a
    TypeError or, if it is infinite or not a number, a ValueError.
    """

    def __init__(self, message="", after=None):
        super().__init__(message)
        self.after = None if after is None else delay_seconds(after)


def delay_seconds(after):
    seconds = after.total_seconds() if hasattr(after, "total_seconds") else after
    number = plain_number(seconds)
    if number is None:
        raise TypeError("martlet.Retry: after must be seconds or a timedelta, not %r" % (after,))
    if not abs(number) < 1e300:  # also of an int that is beyond any float
        raise ValueError("martlet.Retry: after must be finite, not %.200r" % (after,))
    return float(max(0, number))


def plain_number(value):
    """A number of any library (NumPy's, a Decimal, a Fraction) as an int or a float, else None.

    A text is no number though `float` would read it, nor is a bool.
    """
    if isinstance(value, (bool, int, float)):
        return None if isinstance(value, bool) else value
    try:
        if hasattr(value, "__index__"):
            return value.__index__()
        return float(value) if hasattr(value, "__float__") else None
    except TypeError:  # an array of several
        return None
    except (ValueError, OverflowError):  # Decimal("sNaN"), Fraction(10 ** 400)
        return float("nan")


class Cancelled(BaseException):
    """Raised inside a call on the thread pool when its job is cancelled; let it pass."""


class Raised(Exception):
    """Carries what a pickled call raised to the worker, with the exception's pickle or None."""

    def __init__(self, error, pickle):
        self.error = error
        self.pickle = pickle


class Registration:
    """One marked function and the options that it was given."""

    __slots__ = ("name", "target", "pool", "pools", "timeout", "retry", "queue", "tags",
                 "cpus", "unique", "cache", *LIMITS)

    def __init__(self, name, target, pool, pools, timeout, retry, queue, tags, cpus=None,
                 limits=(), unique=None, cache=None):
        self.name = name
        self.target = target
        self.pool = pool
        self.pools = pools
        self.timeout = timeout
        self.retry = retry
        self.queue = queue
        self.tags = tags
        self.cpus = cpus
        self.unique = unique
        self.cache = cache
        for option in LIMITS:
            setattr(self, option, dict(limits).get(option))

    @property
    def is_async(self):
        return self.pool == "async"

    @property
    def file(self):
        code = code_of(self.target)
        return code.co_filename if code else None

    @property
    def line(self):
        code = code_of(self.target)
        return code.co_firstlineno if code else None


# Takes the progress of the call that runs; set in a worker.
report_progress = None


def progress(done, total=None, message=None):
    """Tells how far the call is that runs: `done` of `total`, numbers, and what it does just now.

    Whoever looks on sees it a moment later, ten times a second at most. Of a map the items are
    the progress, and outside of a job there is nobody to be told: there it does nothing.
    """
    for name, value in (("done", done), ("total", total)):
        number = plain_number(value)
        if number is None and not (value is None and name == "total"):
            raise TypeError("martlet.progress: %s must be a number, not %r" % (name, value))
        if number is not None and not 0 <= number < 1e15:
            raise ValueError("martlet.progress: %s must be from 0 to 1e15, not %r" % (name, value))
    if message is not None and not isinstance(message, str):
        raise TypeError("martlet.progress: message must be a string, not %r" % (message,))
    if report_progress is not None:
        report_progress(plain_number(done), plain_number(total), message and message[:1000])


class Nothing:
    """A context that does nothing."""

    def __enter__(self):
        pass

    def __exit__(self, *unused):
        pass


# Makes the context in which the call that runs waits for other jobs, and lends its slots to them;
# set in a worker.
lend_slots = Nothing

# The trace that the call that runs belongs to; set in a worker.
current_trace = None


def traceparent():
    """The trace of the job that runs (W3C Trace Context), as its client sent it, or None."""
    return current_trace() if current_trace is not None else None


# Every registration in the order of the decorators' running; the worker reads it after each file.
registered = []


def function(target=None, *, name=None, pool=None, pools=None, timeout=None, retry=None,
             queue=None, tags=None, cpus=None, unique=None, cache=None,
             max_memory_bytes=None, max_cpu_seconds=None,
             max_output_bytes=None):
    """Marks a function as one that jobs may call; the function itself stays as it is.

    Works bare (`@martlet.function`) and with options:

    name     what jobs call it; its own name if not given
    pool     where a job runs that does not choose: "process" (of a `def` the default) or "thread";
             an `async def` runs on "async" alone
    pools    where a job may choose to run: for a `def` both "process" and "thread" if not given
    timeout  seconds for one attempt of a job, or for one item of a map job
    retry    attempts in all as a number, or a dict of max_attempts, backoff ("constant" or
             "exponential"), initial, factor, max_delay, jitter
    queue    the queue of its jobs
    tags     list of strings that its jobs bear
    cpus     slots of the pool that a call takes, for a function that uses several threads itself;
             no more than the pool has
    unique   True: a job with the same arguments that waits or runs answers in the place of another
    cache    seconds for which the result of a job with the same arguments answers in the place of
             another, until the file of the function changes
    max_memory_bytes  memory of the worker during a call, its imports included; beyond it a
             MemoryError, and the job fails as out_of_memory
    max_cpu_seconds  CPU time of a call, or of an item of a map; beyond it the worker is ended
    max_output_bytes  bytes of a result as JSON, or of an item's
             The three hold on the process pool, which is then the only one.

    A wrong option raises a TypeError or a ValueError.
    """
    if isinstance(target, str):
        raise TypeError("write @martlet.function(name=%r), not @martlet.function(%r)"
                        % (target, target))

    def mark(target):
        if isinstance(target, type) or not callable(target):
            raise TypeError("@martlet.function marks functions, not %r" % (target,))
        called = _name(target, name)
        limits = _limits(called, {
            "max_memory_bytes": max_memory_bytes, "max_cpu_seconds": max_cpu_seconds,
            "max_output_bytes": max_output_bytes})
        is_async = is_coroutine_function(target)
        held = ["process"] if limits and pools is None and not is_async else pools
        own_pool, allowed = _pools(called, is_async, pool, held)
        if limits and allowed != ["process"]:
            raise ValueError("%s: %s holds on the process pool alone, not on %s"
                             % (called, next(iter(limits)), " and ".join(allowed)))
        registered.append(Registration(
            called, target, own_pool, allowed, _timeout(called, timeout), _retry(called, retry),
            _queue(called, queue), _tags(called, tags), _cpus(called, cpus), limits,
            _unique(called, unique), _cache(called, cache)))
        return target

    return mark if target is None else mark(target)


def is_coroutine_function(target):
    """Whether a call of it makes a coroutine: an `async def`, also behind functools.partial."""
    while hasattr(target, "func") and not hasattr(target, "__code__"):
        target = target.func
    code = getattr(target, "__code__", None)
    if code is None:  # An object with a __call__ of its own, or a function written in C.
        code = getattr(getattr(type(target), "__call__", None), "__code__", None)
    if code is not None and code.co_flags & IS_COROUTINE:
        return True
    # A plain wrapper made with functools.wraps around an `async def` hands on its coroutine.
    wrapped = getattr(target, "__wrapped__", None)
    return wrapped is not None and is_coroutine_function(wrapped)


def code_of(target):
    """The code object of a function, behind its decorators and partials; None if in C."""
    while True:
        inner = getattr(target, "__wrapped__", None)
        if inner is None and not hasattr(target, "__code__"):
            inner = getattr(target, "func", None)
        if inner is None:
            break
        target = inner
    code = getattr(target, "__code__", None)
    return code or getattr(getattr(type(target), "__call__", None), "__code__", None)


def _name(target, name):
    if name is None:
        name = getattr(target, "__name__", None)
        if name is None or name == "<lambda>":
            raise ValueError("@martlet.function needs name= for %r, which has none" % (target,))
    if not isinstance(name, str):
        raise TypeError("@martlet.function: name must be a string, not %r" % (name,))
    if not _is_name(name):
        raise ValueError("@martlet.function: name %r must be 1 to 100 letters (of ASCII), digits, "
                         "'_', '.' or '-'" % (name,))
    return name


def _is_name(text):
    return (1 <= len(text) <= 100 and text.isascii()
            and all(c.isalnum() or c in "_.-" for c in text))


def _pools(called, is_async, pool, pools):
    possible = ("async",) if is_async else ("process", "thread")
    kind = "an async def" if is_async else "a def"
    if pools is None:
        pools = possible
    elif isinstance(pools, str) or not all(isinstance(each, str) for each in pools):
        raise TypeError("%s: pools must be a list of strings, not %r" % (called, pools))
    pools = list(dict.fromkeys(pools))
    if not pools:
        raise ValueError("%s: pools must not be empty" % called)
    for each in pools if pool is None else pools + [pool]:
        if each not in POOLS:
            raise ValueError("%s: there is no pool %r; there are %s"
                             % (called, each, ", ".join(POOLS)))
        if each not in possible:
            raise ValueError("%s: %s cannot run on pool %r, only on %s"
                             % (called, kind, each, " and ".join(possible)))
    if pool is None:
        pool = possible[0] if possible[0] in pools else pools[0]
    elif pool not in pools:
        raise ValueError("%s: pool %r is not among its pools %r" % (called, pool, pools))
    return pool, pools


def _number(called, option, value, least, most):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("%s: %s must be a number, not %r" % (called, option, value))
    if not least <= value <= most:
        raise ValueError("%s: %s must be from %r to %r, not %r"
                         % (called, option, least, most, value))
    return value


def _timeout(called, timeout):
    return None if timeout is None else _number(called, "timeout", timeout, 0.001, 31_536_000)


def _cpus(called, cpus):
    if cpus is not None and (isinstance(cpus, bool) or not isinstance(cpus, int)):
        raise TypeError("%s: cpus must be a whole number, not %r" % (called, cpus))
    return None if cpus is None else _number(called, "cpus", cpus, 1, 1_000_000)


def _limits(called, limits):
    given = {option: value for option, value in limits.items() if value is not None}
    for option, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("%s: %s must be a whole number, not %r" % (called, option, value))
        _number(called, option, value, *LIMITS[option])
    return given


def _retry(called, retry):
    if retry is None:
        return None
    if isinstance(retry, int) and not isinstance(retry, bool):
        retry = {"max_attempts": retry}
    if not isinstance(retry, dict):
        raise TypeError("%s: retry must be a number of attempts or a dict, not %r"
                        % (called, retry))
    for member, value in retry.items():
        option = "retry[%r]" % (member,)
        if member == "backoff":
            if value not in BACKOFFS:
                raise ValueError("%s: %s must be one of %s, not %r"
                                 % (called, option, ", ".join(BACKOFFS), value))
        elif member not in RETRY_LIMITS:
            raise ValueError("%s: %s is unknown; there are backoff, %s"
                             % (called, option, ", ".join(RETRY_LIMITS)))
        else:
            _number(called, option, value, *RETRY_LIMITS[member])
            if member == "max_attempts" and not isinstance(value, int):
                raise TypeError("%s: %s must be a whole number, not %r" % (called, option, value))
    return dict(retry)


def _queue(called, queue):
    if queue is not None and not isinstance(queue, str):
        raise TypeError("%s: queue must be a string, not %r" % (called, queue))
    if queue is not None and not _is_name(queue):
        raise ValueError("%s: queue %r must be 1 to 100 letters (of ASCII), digits, '_', '.' or '-'"
                         % (called, queue))
    return queue


def _unique(called, unique):
    if unique is not None and not isinstance(unique, bool):
        raise TypeError("%s: unique must be True or False, not %r" % (called, unique))
    return unique


def _cache(called, cache):
    return None if cache is None else _number(called, "cache", cache, 0, 1_000_000_000)


def _tags(called, tags):
    if tags is None:
        return None
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError("%s: tags must be a list of strings, not %r" % (called, tags))
    if len(tags) > 32:
        raise ValueError("%s: at most 32 tags, not %d" % (called, len(tags)))
    for tag in tags:
        if not _is_tag(tag):
            raise ValueError("%s: a tag is a string of 1 to 100 bytes without control characters, "
                             "not %r" % (called, tag))
    return list(tags)


def _is_tag(text):
    # What is no text alone, half of a surrogate pair, could not be sent.
    return (1 <= len(text.encode(errors="replace")) <= 100
            and all(c >= " " and c != "\x7f" and not "\ud800" <= c <= "\udfff" for c in text))
