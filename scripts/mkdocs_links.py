"""A hook of MkDocs: links to files outside of docs/ become text, since the site holds the pages alone."""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page for the site; what a link led to is named where its text does not name it."""
    return _OUTSIDE.sub(_named, markdown)


def _named(link: re.Match[str]) -> str:
    text, path = link.groups()
    return text if path.rstrip("/") in text else f"{text} (`{path}` in the repository)"
