"""Functions that read blobs."""

import martlet


@martlet.function
def blob_sum(digest: str) -> int:
    return sum(martlet.blob(digest))


@martlet.function
def write_to_blob(digest: str):
    martlet.blob(digest)[0] = 1
