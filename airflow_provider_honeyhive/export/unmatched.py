"""What becomes of paths that led to nothing in a whole export: most often they are misspelt, and hide nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import get_logger, listed
from airflow_provider_honeyhive.exceptions import UnmatchedFieldsError
from airflow_provider_honeyhive.models.options import FAIL, WARN

if TYPE_CHECKING:
    from collections.abc import Sequence


log = get_logger(__name__)


def tell_unmatched(paths: Sequence[str], on_unmatched: str = WARN) -> None:
    """Say which paths led to nothing; nothing is said where all led to something.

    :param paths: of ``exclude_fields`` and ``redact``.
    :param on_unmatched: one of :data:`~airflow_provider_honeyhive.models.options.ON_UNMATCHED`.
    :raises UnmatchedFieldsError: it is ``fail``, and there are some.
    """
    if not paths:
        return
    if on_unmatched == FAIL:
        raise UnmatchedFieldsError(paths)
    log.warning(
        "These paths of exclude_fields and redact match nothing in any event, so nothing was left out for them: %s",
        listed(list(paths), ", "),
    )
