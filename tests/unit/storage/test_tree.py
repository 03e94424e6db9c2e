"""No symbolic link decides what is read, written or deleted on the local disk, nor does what is no file."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage import tree
from airflow_provider_honeyhive.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINK = "is a symbolic link"


def write(store: LocalStore, name: str) -> None:
    with store.create(name) as sink:
        sink.write(b"mine")


#: All that can be done with a file that has this name.
STEPS: dict[str, Callable[[LocalStore, str], Any]] = {
    "create": write,
    "put": lambda store, name: store.put(name, b"mine"),
    "get": lambda store, name: store.get(name),
    "read": lambda store, name: store.read(name),
    "swap": lambda store, name: store.swap(name, b"mine", None),
    "replace": lambda store, name: store.swap(name, b"mine", b"theirs"),
    "chunks": lambda store, name: list(store.chunks(name)),
    "copy from": lambda store, name: store.copy(name, "copy"),
    "copy to": lambda store, name: store.copy("own", name),
    "delete": lambda store, name: store.delete(name),
    "below": lambda store, name: store.below(name.rpartition("/")[0]).put(name.rpartition("/")[2], b"mine"),
}
#: All that can be done with a folder.
LOOKS: dict[str, Callable[[LocalStore, str], Any]] = {
    name: lambda store, folder, name=name: getattr(store, name)(folder)
    for name in ("files", "folders", "links", "modified", "newest")
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Give a folder of somebody else, with files in it."""
    folder = tmp_path / "theirs"
    (folder / "deep").mkdir(parents=True)
    (folder / "file").write_bytes(b"theirs")
    (folder / "deep" / "file").write_bytes(b"theirs")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "own").write_bytes(b"own")
    return LocalStore(tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["link/file", "link/new", "link/deep/file", "real/link/file", "real/link/deep/new"])
def test_nothing_is_done_behind_a_link_to_a_folder(tmp_path, store, theirs, step, name):
    (tmp_path / "out" / "real").mkdir()
    (tmp_path / "out" / name[: name.index("link")] / "link").symlink_to(theirs)
    before = contents(theirs)
    with pytest.raises(DestinationError, match=f"{name[: name.index('link')]}link {LINK}"):
        STEPS[step](store, name)
    store.remove_folder("link/deep")
    store.abort()
    assert contents(theirs) == before
    assert contents(tmp_path / "out") == {"own": b"own"}


@pytest.mark.parametrize("step", LOOKS)
@pytest.mark.parametrize("name", ["link", "link/deep"])
def test_what_is_behind_a_link_is_not_listed(tmp_path, store, theirs, step, name):
    (tmp_path / "out" / "link").symlink_to(theirs)
    with pytest.raises(DestinationError, match=f"out/link {LINK}"):
        LOOKS[step](store, name)


@pytest.mark.parametrize("step", ["get", "read", "swap", "replace", "chunks", "copy from"])
@pytest.mark.parametrize("target", ["file", "gone", "link"])
def test_no_file_is_read_through_a_link(tmp_path, store, theirs, step, target):
    (tmp_path / "out" / "link").symlink_to((tmp_path / "out" if target == "link" else theirs) / target)
    with pytest.raises(DestinationError, match=f"out/link {LINK}"):
        STEPS[step](store, "link")
    assert contents(theirs) == {"file": b"theirs", "deep/file": b"theirs"}
    assert sorted(os.listdir(tmp_path / "out")) == ["link", "own"]


@pytest.mark.parametrize("step", ["create", "put", "copy to", "delete"])
def test_where_a_file_is_replaced_or_deleted_a_link_goes_itself(tmp_path, store, theirs, step):
    (tmp_path / "out" / "link").symlink_to(theirs / "file")
    STEPS[step](store, "link")
    assert (theirs / "file").read_bytes() == b"theirs"
    assert not (tmp_path / "out" / "link").is_symlink()


@pytest.mark.parametrize("plant", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_link_under_the_temporary_name_of_a_swap_is_not_written_to(tmp_path, store, theirs, monkeypatch, plant):
    names: list[str] = []

    def die(name: str, *_: Any, **__: Any) -> None:
        names.append(name)
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            store.swap("file", b"mine", None)
    (tmp_path / "out" / names[0]).unlink()
    plant(theirs / "file", tmp_path / "out" / names[0])
    assert store.swap("file", b"mine", None)
    assert (theirs / "file").read_bytes() == b"theirs"
    assert contents(tmp_path / "out") == {"file": b"mine", "own": b"own"}
    assert not (tmp_path / "out" / "file").is_symlink()


def test_links_are_listed_as_links_and_as_nothing_else(tmp_path, store, theirs):
    (tmp_path / "out" / "real").mkdir()
    links = {"a": theirs, "b": theirs / "file", "real/c": theirs, "real/itself": tmp_path / "out", "z": tmp_path / "no"}
    for name, target in links.items():
        (tmp_path / "out" / name).symlink_to(target)
    assert store.links() == sorted(links)
    assert store.links("real") == ["c", "itself"]
    assert store.files() == {"own": 3}
    assert store.folders() == ["real"]
    assert store.modified().keys() == {"own"}


def test_a_folder_that_becomes_a_link_between_two_steps_is_not_followed(tmp_path, store, theirs):
    def write_meanwhile() -> None:
        with store.create("day/file") as sink:
            sink.write(b"mine")
            (tmp_path / "out" / "day").rename(tmp_path / "out" / "moved")
            (tmp_path / "out" / "day").symlink_to(theirs)

    with pytest.raises(DestinationError, match=LINK):
        write_meanwhile()
    assert contents(theirs) == {"file": b"theirs", "deep/file": b"theirs"}


def test_a_folder_that_becomes_a_link_within_a_step_is_not_followed(tmp_path, store, theirs, monkeypatch):
    # After the folder was opened, before the file in it is removed.
    unlink = os.unlink

    def swapped(name: str, *, dir_fd: int) -> None:
        (tmp_path / "out" / "day").rename(tmp_path / "out" / "moved")
        (tmp_path / "out" / "day").symlink_to(theirs)
        unlink(name, dir_fd=dir_fd)

    store.put("day/file", b"mine")
    monkeypatch.setattr(os, "unlink", swapped)
    store.delete("day/file")
    monkeypatch.undo()
    assert contents(theirs) == {"file": b"theirs", "deep/file": b"theirs"}
    assert os.listdir(tmp_path / "out" / "moved") == []


def test_while_another_one_swaps_folders_for_links_nothing_is_done_behind_them(tmp_path, store, theirs):
    """As an attacker would: a folder is exchanged for a link and back, as fast as can be."""
    day, aside, link = (tmp_path / "out" / name for name in ("day", "aside", "link"))
    day.mkdir()
    link.symlink_to(theirs)
    stop = threading.Event()

    def exchange() -> None:
        while not stop.is_set():
            with suppress(OSError):
                os.rename(day, aside)
                os.rename(link, day)
            with suppress(OSError):
                os.rename(day, link)
                os.rename(aside, day)
            if aside.exists():
                # The store has made the folder anew between two steps.
                shutil.rmtree(aside)

    attacker = threading.Thread(target=exchange)
    attacker.start()
    done = refused = 0
    until = time.monotonic() + 30
    try:
        while min(done, refused) < 100 and time.monotonic() < until:
            for step in ("create", "put", "swap", "copy to", "delete"):
                try:
                    STEPS[step](store, "day/file")
                    done += 1
                except DestinationError:
                    refused += 1
    finally:
        stop.set()
        attacker.join()
    assert done
    assert refused
    assert contents(theirs) == {"file": b"theirs", "deep/file": b"theirs"}


@pytest.mark.parametrize("step", ["get", "read", "swap", "chunks", "copy from"])
@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
def test_what_is_no_file_is_told_and_nobody_waits_for_it(tmp_path, store, step, kind):
    path = tmp_path / "out" / "odd"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        try:
            os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # an endless one: /dev/zero
        except PermissionError:
            pytest.skip("nobody but root can make a device, and in some containers not even root")
    else:
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    with pytest.raises(DestinationError, match=r"out/(odd|copy)"):
        STEPS[step](store, "odd")
    assert store.files() == {"own": 3}


def test_the_folder_itself_may_be_reached_through_links(tmp_path, theirs):
    (tmp_path / "disk").symlink_to(theirs)
    (tmp_path / "exports").symlink_to(tmp_path / "disk" / "deep")
    for path, place in ((tmp_path / "exports", "deep"), (tmp_path / "disk" / "new" / "er", "new/er")):
        store = LocalStore(path)
        for name in ("a", "b/c"):
            store.put(name, b"mine")
            assert store.swap(f"{name}-swapped", b"mine", None)
            assert store.get(name) == (theirs / place / name).read_bytes() == b"mine"
        assert store.url("a") == f"{path}/a"


def test_the_folder_is_looked_up_once(tmp_path, theirs):
    (tmp_path / "first").mkdir()
    (tmp_path / "exports").symlink_to(tmp_path / "first")
    store = LocalStore(tmp_path / "exports")
    (tmp_path / "exports").unlink()
    (tmp_path / "exports").symlink_to(theirs)
    store.put("file", b"mine")
    assert contents(tmp_path / "first") == {"file": b"mine"}
    assert (theirs / "file").read_bytes() == b"theirs"


def test_a_link_that_comes_where_the_folder_was_to_be_made_is_not_followed(tmp_path, theirs):
    store = LocalStore(tmp_path / "exports" / "new")
    (tmp_path / "exports").symlink_to(theirs)
    with pytest.raises(DestinationError, match=f"exports {LINK}"):
        store.put("file", b"mine")
    assert contents(theirs) == {"file": b"theirs", "deep/file": b"theirs"}


@pytest.mark.parametrize("below", ["", "day"])
def test_links_that_lead_nowhere_or_in_a_circle_are_told(tmp_path, below):
    (tmp_path / "nowhere").symlink_to(tmp_path / "not" / "there")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(DestinationError, match="nowhere is a symbolic link to what is not there"):
        LocalStore(tmp_path / "nowhere" / below)
    with pytest.raises(DestinationError, match="cannot open .*circle.*: OSError: "):
        LocalStore(tmp_path / "circle" / below)
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [("n" * 256, "File name too long"), ("a\0b", "null (byte|character)"), ("\ud800", "surrogates not allowed")],
)
def test_paths_that_the_system_does_not_take_are_told(tmp_path, name, why):
    for path in (tmp_path / name, tmp_path / "new" / name):
        with pytest.raises(DestinationError, match=why):
            LocalStore(path).put("file", b"")


@pytest.mark.parametrize("name", ["n" * 256, "a/" + "é" * 128, "n" * 256 + "/a", "\ud800"])
def test_a_name_that_cannot_be_is_told_before_its_folder_is_there(tmp_path, name):
    for step in (*STEPS.values(), *LOOKS.values()):
        with pytest.raises(DestinationError, match="File name too long|surrogates not allowed"):
            step(LocalStore(tmp_path / "new"), name)


def test_a_folder_that_one_may_not_enter_is_told(tmp_path, monkeypatch):
    lstat = os.lstat

    def forbidden(path: Any) -> os.stat_result:
        if "closed" in str(path):
            raise PermissionError(13, "Permission denied")
        return lstat(path)

    monkeypatch.setattr(tree.os, "lstat", forbidden)
    with pytest.raises(DestinationError, match=r"cannot open .*closed/out: PermissionError: Permission denied"):
        LocalStore(tmp_path / "closed" / "out")


def test_no_descriptor_stays_open(tmp_path, store, theirs):
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    (tmp_path / "out" / "link").symlink_to(theirs)
    os.mkfifo(tmp_path / "out" / "pipe")
    before = descriptors()
    for name in ("file", "a/b/file", "link/file", "link", "pipe", "own/file"):
        for step in STEPS.values():
            with suppress(DestinationError):
                step(store, name)
    for name in ("", "a", "link", "none", "own"):
        for look in LOOKS.values():
            with suppress(DestinationError):
                look(store, name)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("step", "synced"),
    [
        ("put", ["out", "out/day", "out/day/hour/_new-", "out/day/hour"]),
        ("swap", ["out", "out/day", "out/day/hour/_new-", "out/day/hour"]),
        ("copy to", ["out", "out/day", "out/_new-", "out/day/hour"]),
    ],
)
def test_what_gets_its_name_stands_on_the_disk_with_all_folders(tmp_path, store, monkeypatch, step, synced):
    seen = []

    def fsync(descriptor: int) -> None:
        path = os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path)
        seen.append(path.partition("_new-")[0] + ("_new-" if "_new-" in path else ""))

    monkeypatch.setattr(os, "fsync", fsync)
    STEPS[step](store, "day/hour/file")
    assert seen == synced


def test_a_file_system_that_cannot_sync_folders_does_without(tmp_path, store, monkeypatch):
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    store.put("day/file", b"mine")
    assert store.swap("day/other", b"mine", None)
    assert contents(tmp_path / "out") == {"own": b"own", "day/file": b"mine", "day/other": b"mine"}
