"""Placeholders in ``output_path``: ``{start}``, ``{end}``, ``{window_id}`` and ``{project}``.

They stand for the window and the project of the export itself, and are filled as soon as these are known. Jinja, with
its double braces, comes before: Airflow renders it when the task starts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from string import Formatter
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.time_format import directives_of, format_problem, format_utc, grain_of
from airflow_provider_honeyhive.models.window import Window, compact_time

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive.models.time_format import Grain

_TIMES = ("start", "end")

_WINDOW_ID, _PROJECT = "window_id", "project"

#: Those that give another text for another window.
WINDOW_PLACEHOLDERS = (*_TIMES, _WINDOW_ID)

_ALLOWED = (
    "allowed in braces: {start} and {end}, also with a format such as {start:%Y-%m-%d}, {window_id} and {project}; "
    "write {{ and }} for braces that are none of these"
)

#: Most characters that ``{project}`` gives as they are; of longer ones the rest becomes a hash.
_LONGEST_PROJECT = 120

_EXAMPLE = Window.parse("2026-11-22", "2026-11-23")


class _Piece(NamedTuple):
    """Text as it is, and the placeholder behind it, if any."""

    text: str
    placeholder: str | None
    format: str

    def time_text(self, time: datetime) -> str:
        return format_utc(time, self.format) if self.format else compact_time(time)


@dataclass(frozen=True, slots=True)
class OutputPath:
    """A path with placeholders.

    :param template: the path as the user wrote it, without Jinja.
    """

    template: str
    _pieces: tuple[_Piece, ...]

    @classmethod
    def parse(cls, template: str) -> OutputPath:
        """Read a path.

        :raises InvalidArgumentError: a brace that belongs to no placeholder, or a format that is not allowed.
        """
        try:
            found = list(Formatter().parse(template))
        except ValueError:
            raise InvalidArgumentError("output_path", template, f"a brace has no partner; {_ALLOWED}") from None
        pieces = []
        for text, name, spec, conversion in found:
            pieces.append(_Piece(text, name, spec or ""))
            problem = _problem(name, spec or "", conversion)
            if problem is not None:
                raise InvalidArgumentError("output_path", template, problem)
        return cls(template, tuple(pieces))

    @property
    def names_windows(self) -> bool:
        """Whether other windows may have other paths."""
        return any(piece.placeholder in WINDOW_PLACEHOLDERS for piece in self._pieces)

    def check(self) -> None:
        """Check what is known before the window is.

        :raises InvalidArgumentError: what the path says of a window is the same in each year.
        """
        self._grains()

    def fill(self, project: str | None, window: Window | None, *, others_differ: bool = False) -> str:
        """Return the path of an export.

        :param project: that is exported.
        :param window: that is exported; None: all of time.
        :param others_differ: something else in the path gives other windows other paths.
        :raises InvalidArgumentError: there is no project or window to fill in; or the window does not fit to what the
            path says of it, so that other windows would have the same path.
        """
        if self.names_windows and window is None:
            raise InvalidArgumentError(
                "output_path",
                self.template,
                "all of time has no start and no end to fill in: give start_time and end_time, or a path without them",
            )
        if window is not None and not others_differ:
            self._check_window(window)
        return "".join(f"{piece.text}{self._value(piece, project, window)}" for piece in self._pieces)

    def example(self) -> str:
        """Return a path such as :meth:`fill` gives."""
        return self.fill("project", _EXAMPLE, others_differ=True)

    def folder_of_all(self, project: str | None) -> str:
        """Return the folder in which the exports of all windows lie; empty where there is none.

        :param project: that is exported.
        """
        texts: list[str] = []
        for piece in self._pieces:
            texts.append(piece.text)
            if piece.placeholder in WINDOW_PLACEHOLDERS:
                break
            texts.append(self._value(piece, project, None))
        return "".join(texts).rpartition("/")[0]

    def _value(self, piece: _Piece, project: str | None, window: Window | None) -> str:
        if piece.placeholder is None:
            return ""
        if piece.placeholder == _PROJECT:
            return self._project_folder(project)
        assert window is not None  # noqa: S101 - fill() has looked
        if piece.placeholder == _WINDOW_ID:
            return window.id
        return piece.time_text(window.start if piece.placeholder == "start" else window.end)

    def _project_folder(self, project: str | None) -> str:
        if not isinstance(project, str) or not project.strip():
            raise InvalidArgumentError("output_path", self.template, "there is no project to fill in: give project")
        return project_folder(project.strip())

    def _directives(self, placeholder: str) -> list[str]:
        formats = [piece.format for piece in self._pieces if piece.placeholder == placeholder]
        return [directive for text in formats for directive in directives_of(text)]

    def _grains(self) -> dict[str, Grain]:
        """Return what the start and the end tell apart; empty where the path tells nothing apart, or everything."""
        grains: dict[str, Grain] = {}
        names = {piece.placeholder: piece for piece in self._pieces}
        if _WINDOW_ID in names or any(piece.placeholder in _TIMES and not piece.format for piece in self._pieces):
            return {}
        for name in _TIMES:
            grain = grain_of(self._directives(name))
            if grain is not None:
                grains[name] = grain
        if not grains and not names.keys().isdisjoint(_TIMES):
            raise InvalidArgumentError(
                "output_path",
                self.template,
                "windows of other years would have the same path: say the whole date, such as {start:%Y-%m-%d} or "
                "{start:%Y-%m-%dT%H}, or use {window_id}",
            )
        return grains

    def _check_window(self, window: Window) -> None:
        grains = self._grains()
        if not grains:
            return
        name = min(grains, key=lambda name: grains[name].shortest)
        grain, directives = grains[name], "".join(self._directives(name))
        # The next window begins where this one ends.
        same = format_utc(window.start, directives) == format_utc(window.end, directives)
        both = len(set(grains.values())) == 1 < len(grains)
        if same or grain.is_shared(window):
            problem = f"it names only the {grain.name} of this window, and the next one would have the same path"
        elif grain.is_exceeded(window) and not both:
            problem = f"it names one {grain.name}, but the window is longer"
        else:
            return
        remedy = "{start:%Y-%m-%dT%H}" if window.end - window.start >= timedelta(hours=1) else "{start}"
        raise InvalidArgumentError(
            "output_path",
            self.template,
            f"{problem}: use {remedy} or {{window_id}}. The window is {window}, of {window.end - window.start}",
        )


def _problem(name: str | None, spec: str, conversion: str | None) -> str | None:
    """Return why a placeholder is none, None where it is one."""
    if name is None:
        return None
    if name not in (*WINDOW_PLACEHOLDERS, _PROJECT) or conversion:
        return f"{{{name}{'!' if conversion else ''}{conversion or ''}}} is no placeholder; {_ALLOWED}"
    if not spec:
        return None
    if name not in _TIMES or "{" in spec:
        return f"{{{name}}} takes no such format; {_ALLOWED}"
    problem = format_problem(spec)
    return None if problem is None else f"{{{name}:{spec}}}: {problem}"


def project_folder(project: str) -> str:
    """Return the name of a folder for a project; no two projects have the same.

    Letters of English, digits, ``-`` and ``_`` (not as the first) stay, all else is percent-encoded as UTF-8; what is
    longer than 120 characters then is cut, and ends in ``~`` and a hash.
    """
    name = quote(project, safe="", errors="surrogatepass").replace(".", "%2E").replace("~", "%7E")
    if name.startswith("_"):
        # Engines skip folders whose names begin so.
        name = f"%5F{name[1:]}"
    if len(name) <= _LONGEST_PROJECT:
        return name
    digest = sha256(project.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{re.sub('%.?$', '', name[: _LONGEST_PROJECT - 33])}~{digest}"
