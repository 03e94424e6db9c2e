"""What the combination takes for the results of the mapped exports."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.operators.mapped import _project_of, _urls


@pytest.mark.parametrize("exports", [None, [], [None], "[]", [{"event_count": 1}]])
@pytest.mark.parametrize("read", [_project_of, _urls])
def test_what_is_no_result_of_exports_is_refused_for_good(read, exports):
    with pytest.raises(InvalidArgumentError, match=r"the result of the mapped export, export\.output") as refusal:
        read(exports)
    assert not refusal.value.retryable
