"""Exports whose every step at the store can be stopped: by death, by a pause, or to let another one take its turn."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage import object_store
from airflow_provider_honeyhive.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    #: Told the name of a step, before it is taken; returns what the step is to raise once it is taken, if anything.
    Hook = Callable[[str], BaseException | None]

PACKAGE = "airflow_provider_honeyhive.export"
CHANGES = ("create", "put", "swap", "copy", "delete", "remove_folder")
LOOKS = ("read", "get", "files", "folders", "newest", "chunks")
STEPS = (*CHANGES, *LOOKS)

#: Of the process that a thread belongs to; the store keeps it, since steps are taken by threads of its readers, too.
_HOOKS: dict[int, Hook] = {}


def stepped(kind: type[Any]) -> type[Any]:
    """Return a kind of store that tells the hook of whoever opens it before each of its steps."""

    def begin(self: Any, *args: Any) -> None:
        kind.__init__(self, *args)
        self._hook = _HOOKS.get(threading.get_ident(), lambda _: None)

    def told(name: str) -> Callable[..., Any]:
        def step(self: Any, *args: Any, **more: Any) -> Any:
            error = self._hook(name)
            result = getattr(kind, name)(self, *args, **more)
            if error is not None:
                raise error
            return result

        return step

    return type(f"Stepped{kind.__name__}", (kind,), {"__init__": begin, **{name: told(name) for name in STEPS}})


SteppedStore = stepped(LocalStore)


@contextmanager
def stepping(open_store: Callable[[Any], Any] = SteppedStore) -> Iterator[None]:
    """Let all exports use stores that can be stopped, and put files together and delete them one after the other."""
    with ExitStack() as stack:
        for module in ("claim", "combine", "exporter", "shards"):
            stack.enter_context(patch(f"{PACKAGE}.{module}.open_store", open_store))
        stack.enter_context(patch(f"{PACKAGE}.extract_window.cpu_count", lambda: 1))
        # Of threads that delete side by side, the first one to come would take each step.
        stack.enter_context(patch.object(object_store, "side_by_side", _one_after_the_other))
        # Nothing here outlives the machine.
        stack.enter_context(patch("os.fsync"))
        yield


def _one_after_the_other(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [function(item) for item in items]


class Died(BaseException):
    """Ends a process, as far as the store can tell."""


def dies(work: Callable[[], Any], step: int) -> bool:
    """Do work that dies before the given one of its changes; return whether it did, or else came to its end."""
    left, lock = [step], threading.Lock()

    def hook(name: str) -> None:
        with lock:
            left[0] -= name in CHANGES
        if left[0] <= 0 and name in CHANGES:
            raise Died

    _HOOKS[threading.get_ident()] = hook
    try:
        work()
    except Died:
        return True
    finally:
        del _HOOKS[threading.get_ident()]
    return False


@dataclass
class Process:
    """Work in a thread of its own.

    :param work: what it does.
    :param hook: told before each step.
    """

    work: Callable[[], Any]
    hook: Hook
    result: Any = None
    error: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        _HOOKS[threading.get_ident()] = self.hook
        try:
            self.result = self.work()
        except (DestinationError, Died) as error:
            self.error = error
        finally:
            del _HOOKS[threading.get_ident()]


def paused(work: Callable[[], Any], step: int, meanwhile: Callable[[], Any]) -> Process | None:
    """Do work that is paused before one of its steps while something else is done; None where it has no such step.

    :param step: which.
    :raises BaseException: what was done meanwhile failed.
    """
    left, lock, reached, go_on = [step], threading.Lock(), threading.Event(), threading.Event()

    def hook(_: str) -> None:
        with lock:
            left[0] -= 1
            is_here = left[0] == 0
        if is_here:
            reached.set()
            go_on.wait(60)

    process = Process(work, hook)
    process.thread.start()
    while process.thread.is_alive() and not reached.wait(0.01):
        pass
    try:
        if reached.is_set():
            meanwhile()
    finally:
        go_on.set()
        process.thread.join(60)
    return process if reached.is_set() else None


def interleaved(works: list[Callable[[], Any]], seed: int, watch: Callable[[], None]) -> list[Process]:
    """Do several works at once, one step after the other in a random order; some die on the way.

    :param watch: called between any two steps.
    """
    draw, turn = random.Random(seed), threading.Condition()
    waiting: dict[int, int] = {}  # threads that wait, by process
    chosen: list[int | None] = [None]
    dead: set[int] = set()
    processes: list[Process] = []

    def hook_of(number: int) -> Hook:
        def hook(name: str) -> None:
            with turn:
                waiting[number] = waiting.get(number, 0) + 1
                turn.notify_all()
                turn.wait_for(lambda: chosen[0] == number or number in dead, 60)
                waiting[number] -= 1
                chosen[0] = None
                if number in dead and name in CHANGES:
                    raise Died

        return hook

    processes += [Process(work, hook_of(number)) for number, work in enumerate(works)]
    for process in processes:
        process.thread.start()
    while any(process.thread.is_alive() for process in processes):
        with turn:
            alive = [number for number, process in enumerate(processes) if process.thread.is_alive()]
            if chosen[0] is None and alive and all(waiting.get(number) for number in alive):
                watch()
                chosen[0] = draw.choice(alive)
                if draw.random() < 0.01:
                    dead.add(chosen[0])
                turn.notify_all()
            turn.wait(0.002)
    return processes
