"""How many cases property tests try: as many as usual, always the same ones, or what the environment says.

``HONEYHIVE_PROPERTY_CASES`` is their number, or ends in an x and says how many times the usual one.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def thoroughly(usual: int) -> settings:
    """Return the settings of tests that usually try so many cases."""
    given = os.environ.get("HONEYHIVE_PROPERTY_CASES", "1x")
    cases = usual * int(given[:-1]) if given.endswith("x") else int(given)
    return settings(
        max_examples=cases,
        deadline=None,
        derandomize=cases == usual,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
