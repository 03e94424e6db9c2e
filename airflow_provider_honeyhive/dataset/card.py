"""The card of a dataset, ``README.md``: what Hugging Face reads of it, and what people should know."""

from __future__ import annotations

from hashlib import file_digest
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.builds.publication import LocalFile
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from airflow_provider_honeyhive.build_manifest import SourceFacts

#: A split, and which of its files Hugging Face loads.
SPLITS = ("train", "test")

_TEXT = """
# Conversations{of_project}

Chat messages of what language models were asked and answered{in_window}, made of HoneyHive's events by
airflow-provider-honeyhive. `_dataset.json` names every file and every export.

Licence: none is given here; whoever publishes this dataset has to choose one. It may hold personal data: prompts and
answers are as users and models wrote them.

## Rows

{counts}

A row is {row}. {where}
Of equal conversations the first one is here, with the `event_ids` of all.
Of the sessions {test_share} % are in the test split, chosen by the SHA-256 of their ids, so that a session is never in
both; of equal conversations, the session of the first one decides.

`unreadable/` lists the calls that could not be read, with reasons.

## Files

{files}

## Made of

{sources}
"""


def write_card(
    folder: Path,
    *,
    project: str | None,
    start_time: str | None,
    end_time: str | None,
    settings: Mapping[str, Any],
    counts: Mapping[str, int],
    files: Sequence[LocalFile],
    sources: Sequence[SourceFacts],
) -> LocalFile:
    """Write the card, and return it.

    :param folder: on this machine; the file is made here.
    :param project: whose conversations these are.
    :param start_time: of the window that they are of, None where it has none.
    :param end_time: of that window.
    :param settings: what was asked for.
    :param counts: numbers of rows and of what is left out.
    :param files: all others of the dataset.
    :param sources: the exports.
    """
    where = settings["where"]
    text = _TEXT.format(
        of_project="" if project is None else f" of {_code(project)}",
        in_window="" if start_time is None else f" from {start_time} to {end_time}",
        counts=_table(("what", "number"), [(name, f"{number:,}") for name, number in counts.items()]),
        row="the last model call of a session" if settings["rows"] == "sessions" else "a model call",
        where="All were taken."
        if where is None
        else f"Taken were those for which this SQL condition is true:\n\n{_block(where)}\n",
        test_share=f"{100 * settings['test_share']:g}",
        files=_table(
            ("file", "rows", "bytes", "SHA-256"),
            [
                (
                    f"`{file.folder}/{file.stem}-…{file.suffix}`",
                    f"{file.row_count:,}",
                    f"{file.path.stat().st_size:,}",
                    _sha256(file.path),
                )
                for file in files
            ],
        ),
        sources=_table(
            ("export", "SHA-256 of its manifest", "events"),
            [(_code(source.manifest_path), source.manifest_sha256, f"{source.event_count:,}") for source in sources],
        ),
    )
    path = folder / "README.md"
    with temporary_space():
        # A project's name may hold half a character, which a file cannot.
        path.write_text(_head(files) + text, encoding="utf-8", errors="replace")
    return LocalFile(path, "card", stem="README", suffix=".md")


def _head(files: Sequence[LocalFile]) -> str:
    """Return what Hugging Face reads: which files each split has."""
    splits = [split for split in SPLITS if any(file.name == split for file in files)]
    if not splits:
        return ""
    listed = "".join(f"      - split: {split}\n        path: {split}/*.parquet\n" for split in splits)
    return f"---\nconfigs:\n  - config_name: default\n    data_files:\n{listed}---\n"


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    """Return a text as code that ends nowhere within it."""
    return f"`{' '.join(text.replace('`', chr(39)).replace('|', '/').split())}`"


def _block(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
