"""The worker: imports functions, then runs the calls that the server sends (see Docs/worker-protocol.md).

Each answer is sent before the next call is begun, so that the server knows which call ran when a
worker dies.
"""

import json
import os
import socket
import sys
import threading
import time

from . import functions, reports, slots

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
decode = json.JSONDecoder().raw_decode
# Half a surrogate pair, such as os.fsdecode makes of bytes that are not UTF-8, has no UTF-8: in the
# text of a JSON string this writes its escape, \udce9.
SURROGATES = "backslashreplace"
TRACEBACK_BYTES = 16384
MESSAGE_BYTES = 4096
# The module of that name, once a call has come that has limits.
limits = None


# --- Functions -------------------------------------------------------------------------------

# Of the content of each file that was imported.
versions = {}


def import_all(paths):
    """Imports the files; returns registrations by name and the broken files."""
    import importlib.util
    found, broken = {}, []
    for path in files(paths):
        folder = os.path.dirname(os.path.abspath(path))
        if folder not in sys.path:
            sys.path.insert(0, folder)
        del functions.registered[:]
        spec = importlib.util.spec_from_file_location(module_name(path), path)
        is_broken = False
        try:
            # By the name that its code objects have, which a relative path is not.
            versions[spec.origin] = importlib.util.source_hash(spec.loader.get_data(path)).hex()
            if spec.name not in sys.modules:
                module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
        except BaseException as error:  # SystemExit too: a file must not end the worker
            is_broken = True
            broken.append({"file": path, "error": "%s: %s" % (type(error).__name__, error),
                           "traceback": trace(error)})
            sys.modules.pop(spec.name, None)
        for registration in functions.registered:
            if is_broken and registration.file == spec.origin:
                continue  # those of another file that this one has imported are whole
            if registration.name in found:
                broken.append({"file": path, "error": "the name %r is taken by %s" % (
                    registration.name, found[registration.name].file)})
            else:
                found[registration.name] = registration
    return found, broken


def module_name(path):
    """The name under which a file is imported: its own, by which other files may have imported it.

    If that is the name of another module (martlet.py, json.py), one that takes nobody's place.
    """
    file = os.path.basename(path)
    taken = sys.modules.get(file[:-3])
    is_own = taken is None or getattr(taken, "__file__", None) == os.path.abspath(path)
    return file[:-3] if is_own else file


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            for name in sorted(os.listdir(path)):
                if name.endswith(".py") and name[0] not in "._":
                    yield os.path.join(path, name)
        elif path.endswith(".py"):
            yield path


def describe(registration):
    from . import schema
    try:
        parameters = schema.parameters(registration.target)
    except Exception:  # a function written in C has no signature; it can be called all the same
        parameters = {}
    member = {
        "name": registration.name, "pool": registration.pool, "pools": list(registration.pools),
        "doc": (getattr(registration.target, "__doc__", None) or "").strip(),
        "parameters": parameters, "timeout": registration.timeout,
        "file": registration.file, "line": registration.line,
        "version": versions.get(registration.file),
    }
    for name in ("retry", "queue", "tags", "cpus", "unique", "cache", *functions.LIMITS):
        value = getattr(registration, name)
        if value:
            member[name] = value
    return member


# --- Failures --------------------------------------------------------------------------------

def trace(error):
    """The traceback without the worker's own frames."""
    import traceback
    own = os.path.dirname(os.path.abspath(__file__))
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename.startswith(own):
        place = place.tb_next
    try:
        lines = traceback.format_exception(type(error), error, place)
    except Exception:  # an exception whose own __str__ fails
        lines = ["%s\n" % type(error).__name__]
    return "".join(lines)[-TRACEBACK_BYTES:]


def failure(error):
    """What is told of an exception, whatever its own methods do: without an answer its call would
    never end."""
    try:
        return described(error)
    except functions.Cancelled:
        raise  # the cancel of the call, on the thread pool
    except BaseException as another:
        return {"type": type(error).__name__, "message": "(the exception cannot be told: %s)"
                % type(another).__name__}


def described(error):
    pickle = None
    if isinstance(error, functions.Raised):
        error, pickle = error.error, error.pickle
    try:
        message = str(error)[:MESSAGE_BYTES]
    except Exception:
        message = "(the exception has no readable message)"
    made = {"type": type(error).__name__, "message": message, "traceback": trace(error)}
    if isinstance(error, functions.Cancelled):
        made["code"] = "cancelled"
    elif isinstance(error, MemoryError):
        made["code"] = "out_of_memory"
    elif limits is not None and isinstance(error, limits.OutputLimit):
        made["code"] = "limit"
    if isinstance(error, functions.Permanent):
        made["permanent"] = True
    if isinstance(error, functions.Retry) and error.after is not None:
        made["retry_after"] = functions.delay_seconds(error.after)
    if pickle is not None:
        made["pickle"] = pickle
    return made


def quick_encoder():
    """`encode` without the encoder that it makes anew for each value, where CPython lets us."""
    try:
        pieces = json.encoder.c_make_encoder(
            None, json.JSONEncoder().default, json.encoder.encode_basestring, None, ":", ",",
            False, False, False)
        if "".join(pieces([1, "\u00e9", {"a": None}], 0)) == '[1,"\u00e9",{"a":null}]':
            return lambda value: "".join(pieces(value, 0))
    except Exception:
        pass  # another Python: the plain one serves
    return encode


quick_encode = quick_encoder()


def encoded(value, name):
    try:
        return quick_encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise type(error)("the result of %s cannot be JSON: %s; return numbers, strings, lists, "
                          "dicts, True, False or None" % (name, error)) from None


# --- Answers ---------------------------------------------------------------------------------

def bind(target, arguments):
    return target(**arguments) if isinstance(arguments, dict) else target(*arguments)


def answer_call(number, name, call, *arguments):
    """Runs `call` and makes the line that answers it."""
    start, cpu = time.perf_counter(), time.process_time()
    try:
        body = '"result":' + encoded(call(*arguments), name)
    except BaseException as error:
        body = '"error":' + encode(dict(used(cpu), **failure(error)))
    return ('{"call":%d,"seconds":%.9f,%s}\n' % (number, time.perf_counter() - start, body)).encode(
        "utf-8", SURROGATES)


def used(cpu):
    """What the call has used, where no other ran beside it in this process; `cpu` at its start."""
    if not is_alone:
        return {}
    return {"cpu_seconds": time.process_time() - cpu, "max_memory_bytes": peak_memory()}


def peak_memory():
    """The most bytes that this process ever had; getrusage(2) would count what the server had when
    it started this process."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM:"))


# Whether this process runs one call at a time.
is_alone = False


def answer_chunk(number, name, results, errors, start):
    try:
        text = encoded(results, name)
    except Exception:
        texts = []
        for index, result in enumerate(results):
            try:
                texts.append(encoded(result, name))
            except Exception as error:
                errors.setdefault(str(index), failure(error))
                texts.append("null")
        text = "[" + ",".join(texts) + "]"
    tail = ',"errors":' + encode(errors) if errors else ""
    return ('{"call":%d,"seconds":%.9f,"results":%s%s}\n' % (
        number, time.perf_counter() - start, text, tail)).encode("utf-8", SURROGATES)


def held(registration, message):
    """The function, within the limits that the message has."""
    asked = message.get("limits")
    if not asked:
        return registration.target
    global limits
    from . import limits
    name = registration.name
    return limits.within(
        asked, registration.target,
        lambda result: len(encoded(result, name).encode("utf-8", SURROGATES)))


def run_chunk(number, registration, message):
    start = time.perf_counter()
    target, results, errors = held(registration, message), [], {}
    spread, stop = message.get("spread"), message.get("on_error") != "continue"
    for item in message["map"]:
        try:
            results.append(bind(target, item) if spread else target(item))
        except BaseException as error:
            errors[str(len(results))] = failure(error)
            if stop or isinstance(error, functions.Cancelled):
                break
            results.append(None)
    return answer_chunk(number, registration.name, results, errors, start)


class Worker:
    def __init__(self, channel, found, said):
        self.channel = channel
        self.send = channel.sendall
        self.found = found
        self.reports = said
        self.lock = said.lock

    def capture(self, current, send):
        """Tells the server what calls say; `current` gives number and trace of the one here."""
        self.reports.current, self.reports.send = current, send
        functions.report_progress = self.reports.note
        functions.current_trace = lambda: current()[1]
        self.waits = slots.Waits(current, send, self.lock)
        functions.lend_slots = self.waits.lend

    def handle(self, message):
        """The answer to a call, ready to be sent."""
        number, name = message["call"], message.get("function")
        registration = self.found.get(name)
        if registration is None:
            return answer_call(number, name, missing, name)
        if "map" in message:
            return run_chunk(number, registration, message)
        return answer_call(number, name, bind, held(registration, message), message.get("args", ()))

    def messages(self):
        """Messages as they come; returns at the end of the stream."""
        lines = Lines()
        while True:
            try:
                data = self.channel.recv(262144)
            except ConnectionResetError:  # the server has ended, and had not read all of it
                return
            if not data:
                return
            for line in lines.take(data):
                message = read_message(line, self.send)
                if message:
                    yield message


def read_message(line, send):
    """The message of a line; None when Python cannot read it, which is then the call's failure."""
    try:
        message = decode(line)[0]
        if "server" in message:
            set_home(message["server"])
        return message
    except ValueError as error:  # for example an integer of over 4,300 digits
        head = line[:64].split(",")[0].split(":")
        if head[0] == '{"call"':
            send(answer_call(int(head[1]), "", fail, error))
        return None


def set_home(server):
    """Has `martlet.Client()` in functions and their child processes speak to this server."""
    os.environ["MARTLET_URL"] = server["url"]
    os.environ.pop("MARTLET_TOKEN", None)
    if "token" in server:
        os.environ["MARTLET_TOKEN"] = server["token"]


class Lines:
    """Cuts what is received into lines; a line may come in many pieces."""

    def __init__(self):
        self.pieces = []

    def take(self, data):
        end = data.rfind(b"\n")
        if end < 0:
            self.pieces.append(data)
            return ()
        self.pieces.append(data[:end])
        lines = b"".join(self.pieces).decode().split("\n")
        self.pieces = [data[end + 1:]]
        return lines


def missing(name):
    raise LookupError("there is no function %r in this worker" % name)


def fail(error):
    raise error


# --- The three kinds -------------------------------------------------------------------------

NO_CALL = (None, None)
# What those that run many calls at once import of Python's library.
NEEDS = {"thread": "concurrent.futures.thread", "async": "asyncio"}
# Calls of the thread pool that may wait for other jobs at once; as many as it has threads if more.
WAITING_THREADS = 1000


def serve_process(worker):
    global is_alone
    is_alone = True
    call, lock, send = NO_CALL, worker.lock, worker.channel.sendall
    worker.capture(lambda: call, send)
    said, finish, waits = worker.reports.open, worker.reports.finish, worker.waits
    caps = slots.ThreadCaps()
    for message in worker.messages():
        if "forget" in message:
            waits.unanswered -= 1
        elif "call" in message:
            if waits.unanswered:
                continue  # the server has taken it back
            caps.set(message.get("cpus", 1))
            number = message["call"]
            call = (number, message.get("trace"))
            line = worker.handle(message)
            call = NO_CALL
            if said:
                finish(number)
            with lock:  # a thread that the function has left behind may be telling something
                send(line)


def serve_threads(worker, threads):
    import contextvars
    from concurrent.futures import ThreadPoolExecutor
    # Calls that are not answered: the thread that runs each, None for one that waits.
    lock, given, cancelled = worker.lock, {}, set()
    here = contextvars.ContextVar("call", default=NO_CALL)

    def send(line):
        with lock:
            worker.channel.sendall(line)
    worker.send = send
    worker.capture(here.get, worker.channel.sendall)
    said, finish = worker.reports.open, worker.reports.finish

    def run(message):
        number = message["call"]
        line = answer_call(number, "", fail, functions.Cancelled("cancelled before it began"))
        here.set((number, message.get("trace")))
        while number in given:
            # A cancel may strike a moment late, here instead of in the call; a second answer to
            # one call is passed over by the server.
            try:
                with lock:
                    given[number] = threading.get_ident()
                if number not in cancelled:
                    line = worker.handle(message)
                here.set(NO_CALL)
                if number in said:
                    finish(number)
                with lock:
                    send(line)
                    cancelled.discard(number)
                    del given[number]
            except functions.Cancelled:
                cancelled.add(number)

    # The server counts; those that wait for other jobs do not count.
    with ThreadPoolExecutor(threads + max(WAITING_THREADS, threads)) as pool:
        for message in worker.messages():
            if "call" in message:
                with lock:
                    given[message["call"]] = None
                pool.submit(run, message)
            elif "cancel" in message:
                with lock:
                    number = message["cancel"]
                    thread = given.get(number)
                    if number in given:
                        cancelled.add(number)
                    if thread is not None:
                        import ctypes
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(
                            ctypes.c_ulong(thread), ctypes.py_object(functions.Cancelled))
        os._exit(0)


def serve_async(worker):
    import asyncio
    asyncio.run(run_async(worker, asyncio))


async def run_async(worker, asyncio):
    import contextvars
    channel, loop, found = worker.channel, asyncio.get_running_loop(), worker.found
    channel.setblocking(False)
    # Calls that are not answered, and those of them that have not begun.
    tasks, waiting = {}, set()
    output, over = [], asyncio.Event()
    buffered = bytearray()

    def flush():
        data = b"".join(output)
        del output[:]
        buffered.extend(data)
        write()

    def write():
        try:
            while buffered:
                del buffered[:channel.send(buffered)]
            loop.remove_writer(channel)
        except BlockingIOError:
            loop.add_writer(channel, write)
        except OSError:
            over.set()

    def emit(line):
        if not output:
            loop.call_soon(flush)
        output.append(line)

    here, thread = contextvars.ContextVar("call", default=NO_CALL), threading.get_ident()

    def tell(line):
        if threading.get_ident() == thread:
            emit(line)
        else:
            loop.call_soon_threadsafe(emit, line)

    worker.capture(here.get, tell)
    said, finish = worker.reports.open, worker.reports.finish

    async def call(message):
        number, name = message["call"], message.get("function")
        here.set((number, message.get("trace")))
        waiting.discard(number)
        start = time.perf_counter()
        try:
            registration = found.get(name) or missing(name)
            if "map" in message:
                line = await chunk(number, registration, message, start)
                if number in said:
                    finish(number)
                return emit(line)
            body = '"result":' + encoded(
                await bind(registration.target, message.get("args", ())), name)
        except BaseException as error:
            made = failure(error)
            if isinstance(error, asyncio.CancelledError):
                made["code"] = "cancelled"
            body = '"error":' + encode(made)
        finally:
            tasks.pop(number, None)
        if number in said:
            finish(number)
        emit(('{"call":%d,"seconds":%.9f,%s}\n' % (
            number, time.perf_counter() - start, body)).encode("utf-8", SURROGATES))

    async def chunk(number, registration, message, start):
        """The chunk's items run one after the other: the server gives as many chunks at once as
        items may run at once."""
        spread, stop = message.get("spread"), message.get("on_error") != "continue"
        target, results, errors = registration.target, [], {}
        for item in message["map"]:
            try:
                results.append(await (bind(target, item) if spread else target(item)))
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                errors[str(len(results))] = failure(error)
                if stop:
                    break
                results.append(None)
        return answer_chunk(number, registration.name, results, errors, start)

    def cancel(number):
        if number in waiting:
            # A task that is cancelled before its first step never comes to the answer in its body.
            waiting.discard(number)
            emit(answer_call(number, "", fail, functions.Cancelled("cancelled before it began")))
            tasks.pop(number).cancel()
        elif number in tasks:
            tasks[number].cancel()

    lines = Lines()

    def read():
        try:
            data = channel.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            os._exit(0)
        for line in lines.take(data):
            message = read_message(line, emit) or {}
            if "call" in message:
                number = message["call"]
                waiting.add(number)
                tasks[number] = loop.create_task(call(message))
            elif "cancel" in message:
                cancel(message["cancel"])

    loop.add_reader(channel, read)
    await over.wait()


def main(arguments):
    kind, threads, paths, pickles = "process", 4, [], False
    rest = iter(arguments)
    for argument in rest:
        if argument == "--kind":
            kind = next(rest)
        elif argument == "--threads":
            threads = int(next(rest))
        elif argument == "--pickles":
            pickles = True
        else:
            paths.append(argument)
    fd = int(os.environ.pop("MARTLET_FD", "3"))
    os.set_inheritable(fd, False)
    channel = socket.socket(fileno=fd)
    sys.stdout.reconfigure(line_buffering=True)
    said = reports.install()
    if kind in NEEDS:  # before a function file may be taken for a part of it
        __import__(NEEDS[kind])
    found, broken = import_all(paths)
    if pickles:
        from . import pickled
        found.update((offered.name, offered) for offered in pickled.offer())
    channel.sendall((encode({"hello": {
        "protocol": 1, "runtime": "python %d.%d.%d" % sys.version_info[:3], "pid": os.getpid(),
        "functions": [describe(registration) for registration in found.values()],
        "broken": broken}}) + "\n").encode("utf-8", SURROGATES))
    worker = Worker(channel, found, said)
    if kind == "async":
        serve_async(worker)
    elif kind == "thread":
        serve_threads(worker, threads)
    else:
        serve_process(worker)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
