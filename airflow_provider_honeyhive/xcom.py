"""Makes JSON data fit for XCom, which carries less than JSON allows."""

from __future__ import annotations

import math
import re
from typing import Any

#: Halves of surrogate pairs, which texts cut at UTF-16 units end with, and NUL.
_UNFIT_CHARACTERS = re.compile("[\ud800-\udfff\0]")


def fit_for_xcom(value: Any) -> Any:
    """Return decoded JSON with what XCom cannot carry replaced by the nearest thing that it can.

    Workers of Airflow 3 send results as MessagePack and strict JSON, and PostgreSQL keeps them as JSONB. So half a
    surrogate pair and NUL become U+FFFD, integers beyond 64 bits become text, and NaN and the infinities None.

    :param value: what :func:`json.loads` gives.
    """
    if isinstance(value, str):
        return _UNFIT_CHARACTERS.sub("\ufffd", value)
    if isinstance(value, dict):
        return {fit_for_xcom(key): fit_for_xcom(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fit_for_xcom(item) for item in value]
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
