"""Keys of events that XCom cannot carry as they are."""

from __future__ import annotations

from airflow_provider_honeyhive.export.xcom import fit_for_xcom


def test_keys_that_differ_by_what_is_replaced_alone_stay_two():
    inner = dict(zip(["\0", "\udfff"], [4, 5], strict=True))

    fit = fit_for_xcom(dict(zip(["\ud800", "\ufffd", "_\ufffd", "a\0"], [1, 2, 3, inner], strict=True)))

    assert fit == {"\ufffd": 1, "_\ufffd": 2, "__\ufffd": 3, "a\ufffd": {"\ufffd": 4, "_\ufffd": 5}}


def test_keys_that_airflow_reserves_stay_apart():
    assert fit_for_xcom({"__id__": 1, "___id__": 2, "id": 3}) == {"___id__": 1, "____id__": 2, "id": 3}
