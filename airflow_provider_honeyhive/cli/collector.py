"""Imports for the command line without Python's garbage collector, which takes a quarter of the time to start."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def without_collector() -> Iterator[None]:
    """Import modules in here: what they make lives as long as the process, and the collector never searches it.

    Not even at the process's end. Afterwards the collector runs as before, over what is made from then on.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
