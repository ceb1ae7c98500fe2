"""Large bytes that the server keeps by their SHA-256, as a function sees them."""

import mmap
import os


class BlobMissing(LookupError):
    """There is no such blob (any more): who has its bytes sends them again."""


def blob(digest):
    """The bytes of a blob as a read-only memoryview, mapped and not read; inside a function.

    Raises BlobMissing if the server does not hold it, ValueError if this is no SHA-256 in 64
    hexadecimal digits. With numpy: `numpy.frombuffer(martlet.blob(digest), dtype)`.
    """
    return memoryview(mapped(digest, mmap.ACCESS_READ))


def mapped(digest, access=mmap.ACCESS_COPY):
    """The mapped bytes; by default, a change to them is the caller's own."""
    folder = os.environ.get("MARTLET_BLOBS")
    if folder is None:
        raise RuntimeError("blobs are there inside a job's function; elsewhere use Client.get_blob")
    if len(digest) != 64 or not digest.isalnum():
        raise ValueError("a blob is named by its SHA-256 in 64 hexadecimal digits")
    path = os.path.join(folder, digest)
    try:
        with open(path, "rb") as file:
            try:
                os.utime(path)  # in use: among the last to be removed
            except OSError:
                pass  # seen through a read-only mount
            if os.fstat(file.fileno()).st_size == 0:
                return b""  # which cannot be mapped
            return mmap.mmap(file.fileno(), 0, access=access)
    except FileNotFoundError:
        raise BlobMissing("blob %s is not here; send it again" % digest) from None
