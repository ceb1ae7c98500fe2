"""Functions for a Martlet server: mark them with `@martlet.function` and post jobs that call them."""

from .functions import Cancelled, Permanent, function

__all__ = ["Cancelled", "Permanent", "function"]
