"""What a call may use: soft limits of this process, set around the call.

The worker stays warm, so that the hard limits stay as they are. A call that wants more memory meets
a MemoryError; one that uses up its CPU time is ended with its process by the kernel's SIGXCPU.
"""

import math
import time


class OutputLimit(Exception):
    """The result is larger than `max_output_bytes`."""


def within(limits, call, size):
    """`call`, held within limits; `size` tells the bytes of a result as JSON."""
    import resource
    memory, cpu = limits.get("max_memory_bytes"), limits.get("max_cpu_seconds")
    most = limits.get("max_output_bytes")

    def lift(kind, hard):
        resource.setrlimit(kind, (hard, hard))

    def lower(kind, value, hard):
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, hard))

    def run(*arguments, **named):
        data_hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        cpu_hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        try:
            if cpu is not None:
                lower(resource.RLIMIT_CPU, math.ceil(time.process_time()) + cpu, cpu_hard)
            if memory is not None:
                lower(resource.RLIMIT_DATA, memory, data_hard)
            result = call(*arguments, **named)
        finally:
            # Before anything is told of the call: that needs memory as well.
            if memory is not None:
                lift(resource.RLIMIT_DATA, data_hard)
            if cpu is not None:
                lift(resource.RLIMIT_CPU, cpu_hard)
        if most is not None and size(result) > most:
            raise OutputLimit("the result has %d bytes, over max_output_bytes of %d"
                              % (size(result), most))
        return result

    return run
