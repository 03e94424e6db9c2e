"""Placeholders in paths: what they give, which are refused, and windows that do not fit to what a path says of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.layout import choose_layout
from airflow_provider_honeyhive.models.output_path import OutputPath, project_folder
from airflow_provider_honeyhive.models.time_format import DIRECTIVES
from airflow_provider_honeyhive.models.window import EARLIEST, LATEST, Window, compact_time

DAY = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)

times = st.datetimes(
    EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None) - timedelta(days=2), timezones=st.just(UTC)
)


def window(start: datetime = DAY, length: timedelta = 24 * HOUR) -> Window:
    return Window(start, start + length)


def fill(path: str, of: Window | None = None, project: str | None = "demo", **arguments: bool) -> str:
    return OutputPath.parse(path).fill(project, of or window(), **arguments)


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("s3://b/date={start:%Y-%m-%d}/", "s3://b/date=2026-11-22/"),
        ("s3://b/{start:%Y/%m/%d}/x.jsonl.gz", "s3://b/2026/11/22/x.jsonl.gz"),
        ("s3://b/{start:%Y}/{start:%j}/", "s3://b/2026/326/"),
        ("s3://b/{start:%G-W%V-%u}/", "s3://b/2026-W47-7/"),
        ("s3://b/until={end:%Y%m%d}/", "s3://b/until=20261123/"),
        ("s3://b/{start:%Y-%m-%dT%H-%M-%S.%f}/", "s3://b/2026-11-22T00-00-00.000000/"),
        ("s3://b/{start}/", "s3://b/20261122T000000Z/"),
        ("s3://b/{start}-{end}/", "s3://b/20261122T000000Z-20261123T000000Z/"),
        ("s3://b/{window_id}.parquet", "s3://b/20261122T000000Z-20261123T000000Z.parquet"),
        ("s3://b/{project}/", "s3://b/demo/"),
        ("s3://b/{{{project}}}/{{x}}/", "s3://b/{demo}/{x}/"),
        ("s3://b/no/placeholder/", "s3://b/no/placeholder/"),
    ],
)
def test_placeholders_give_the_window_and_the_project(path, filled):
    assert fill(path) == filled


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/a/{strat:%Y}/", "{strat} is no placeholder; allowed in braces: {start} and {end}"),
        ("/a/{}/", "{} is no placeholder"),
        ("/a/{0}/", "{0} is no placeholder"),
        ("/a/{ start }/", "{ start } is no placeholder"),
        ("/a/{start.year}/", "{start.year} is no placeholder"),
        ("/a/{start.__class__}/", "is no placeholder"),
        ("/a/{project[0]}/", "{project[0]} is no placeholder"),
        ("/a/{project!r}/", "is no placeholder"),
        ("/a/{project:>20}/", "{project} takes no such format"),
        ("/a/{window_id:%Y}/", "{window_id} takes no such format"),
        ("/a/{start:{project}}/", "{start} takes no such format"),
        ("/a/{start", "a brace has no partner"),
        ("/a/}/", "a brace has no partner"),
        ("/a/{start:day}/", "a format needs one of %Y"),
        ("/a/{start:%Y/../%m}/", "a format takes no '..'"),
        ("/a/{start:%Y\0}/", "no characters that do not print"),
        ("/a/{start:%Y\\%m}/", "no backslash"),
        *((f"/a/{{start:%Y{other}}}/", "is not allowed; allowed: %Y %m") for other in ("%", "%%", "%-d", "%#d")),
        *(
            (f"/a/{{start:%{letter}}}/", f"%{letter} is not allowed; allowed: %Y %m")
            for letter in "abcehgklnpstuwxyzABCDEFIPQRTUWXZ+"
            if f"%{letter}" not in DIRECTIVES
        ),
    ],
)
def test_what_is_no_placeholder_is_refused(path, problem):
    with pytest.raises(InvalidArgumentError, match=re.escape(problem)) as error:
        OutputPath.parse(path)
    assert error.value.argument == "output_path"


@pytest.mark.parametrize("path", ["/a/{start:%H}/", "/a/{start:%m-%d}/", "/a/{start:%d}/{end:%H}/", "/a/{start:%V}/"])
def test_a_path_without_the_year_is_refused_before_the_window_is_known(path):
    with pytest.raises(InvalidArgumentError, match="windows of other years would have the same path"):
        OutputPath.parse(path).check()
    assert fill(path, others_differ=True)


BERLIN_23 = Window(datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
BERLIN_25 = Window(datetime(2025, 10, 25, 22, tzinfo=UTC), datetime(2025, 10, 26, 23, tzinfo=UTC))
#: The clocks of London go forward on this day, so the next one begins in the same day of UTC.
LONDON_23 = Window(datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 3, 29, 23, tzinfo=UTC))


@pytest.mark.parametrize(
    ("path", "of"),
    [
        pytest.param("{start:%Y-%m-%d}", window(), id="a day"),
        pytest.param("{start:%Y-%m-%d}", window(DAY + 6 * HOUR), id="a day that begins at six"),
        pytest.param("{start:%Y-%m-%d}", BERLIN_23, id="23 hours"),
        pytest.param("{start:%Y-%m-%d}", BERLIN_25, id="25 hours"),
        pytest.param("{end:%Y-%m-%d}", window(), id="named after its end"),
        pytest.param("{start:%Y-%j}", window(), id="day of the year"),
        pytest.param("{start:%G-W%V}", window(DAY + 24 * HOUR, 7 * 24 * HOUR), id="a week"),
        pytest.param("{start:%Y-%m}", Window(datetime(2026, 2, 1, tzinfo=UTC), DAY.replace(2026, 3, 1)), id="a month"),
        pytest.param("{start:%Y}", Window(datetime(2024, 1, 1, tzinfo=UTC), DAY.replace(2025, 1, 1)), id="a leap year"),
        pytest.param("date={start:%Y-%m-%d}/hour={start:%H}", window(DAY + 23 * HOUR, HOUR), id="an hour"),
        pytest.param("{start:%Y-%m-%dT%H}", window(DAY, 36 * HOUR), id="36 hours that begin at an hour"),
        pytest.param("{start:%Y-%m-%d}-{end:%Y-%m-%d}", window(DAY, 48 * HOUR), id="from a day to a day"),
        pytest.param("{start:%Y-%m}/{end:%Y-%m-%d}", window(), id="the end finer than the start"),
        pytest.param("{start}", window(DAY, timedelta(microseconds=1)), id="the whole time"),
        pytest.param("{start:%Y}/{window_id}", window(DAY, timedelta(milliseconds=7)), id="both bounds"),
        pytest.param("{start:%H}/{window_id}", window(), id="both bounds tell years apart"),
        pytest.param("no placeholder", window(DAY, HOUR), id="nothing"),
        pytest.param("{project}", window(DAY, HOUR), id="only the project"),
    ],
)
def test_a_window_that_fits_to_the_path_passes(path, of):
    assert fill(path, of)


@pytest.mark.parametrize(
    ("path", "of", "problem"),
    [
        ("{start:%Y-%m-%d}", window(DAY, 48 * HOUR), "it names one day, but the window is longer"),
        ("{start:%Y-%m-%d}", window(DAY, 36 * HOUR), "it names one day, but the window is longer"),
        ("{start:%Y-%m-%d}", window(DAY, HOUR), "names only the day of this window, and the next one would have"),
        ("{start:%Y-%m-%d}", window(DAY + 23 * HOUR, HOUR), "names only the day"),
        ("{start:%Y-%m-%d}", LONDON_23, "names only the day"),
        ("{end:%Y-%m-%d}", window(DAY, HOUR), "names only the day"),
        ("{start:%Y-%m}", window(), "names only the month"),
        ("{start:%G-W%V}", window(), "names only the week"),
        ("{start:%Y-W%V}", window(DAY, 7 * 24 * HOUR), "names only the year"),
        ("{start:%Y-%m}/{start:%H}", window(DAY, HOUR), "names only the month"),
        ("{start:%Y-%m-%d}-{end:%Y-%m-%d}", window(DAY, HOUR), "names only the day"),
        ("{start:%Y-%m-%d}-{end:%Y-%m}", window(DAY, 48 * HOUR), "it names one day, but the window is longer"),
        ("{start:%Y-%m-%d}/{end:%H}", window(DAY, 48 * HOUR), "it names one day, but the window is longer"),
    ],
)
def test_a_window_that_does_not_fit_is_refused_with_the_remedy(path, of, problem):
    with pytest.raises(InvalidArgumentError, match=re.escape(problem)) as error:
        fill(path, of)
    assert "use {start:%Y-%m-%dT%H} or {window_id}" in str(error.value)
    assert f"The window is {of}, of {of.end - of.start}" in str(error.value)
    assert fill(path, of, others_differ=True)
    assert fill(f"{path}/{{window_id}}", of)


def test_for_a_window_of_less_than_an_hour_the_remedy_is_the_whole_time():
    of = window(DAY, HOUR / 2)
    with pytest.raises(InvalidArgumentError, match=r"only the hour .*: use \{start\} or \{window_id\}"):
        fill("{start:%Y-%m-%dT%H}", of)
    assert fill("{start}", of)


@given(times, st.sampled_from([HOUR / 2, HOUR, 6 * HOUR, 23 * HOUR, 24 * HOUR, 25 * HOUR, 36 * HOUR]), st.data())
def test_adjacent_windows_of_one_length_never_share_a_path(start, length, data):
    formats = ["{start:%Y-%m-%d}", "{end:%Y/%j}", "{start:%Y-%m-%dT%H}", "{start:%Y-%m-%d}-{end:%Y-%m-%d}", "{start}"]
    path = OutputPath.parse(data.draw(st.sampled_from([*formats, "{start:%G%V%u%H%M}", "{window_id}"])))
    start -= start - start.replace(hour=0, minute=0, second=0, microsecond=0)
    paths = []
    for at in range(6):
        try:
            paths.append(path.fill("demo", window(start + at * length, length)))
        except InvalidArgumentError:
            continue
    assert len(paths) == len(set(paths))
    assert paths == sorted(paths)


@pytest.mark.parametrize("path", ["/a/{start}/", "/a/{end:%Y-%m-%d}/", "/a/{window_id}/"])
def test_all_of_time_has_no_start_to_fill_in(path):
    with pytest.raises(InvalidArgumentError, match="all of time has no start and no end to fill in: give start_time"):
        OutputPath.parse(path).fill("demo", None)
    assert OutputPath.parse("/a/{project}/").fill("demo", None) == "/a/demo/"


@pytest.mark.parametrize("project", [None, "", "  "])
def test_without_a_project_there_is_none_to_fill_in(project):
    with pytest.raises(InvalidArgumentError, match="there is no project to fill in: give project"):
        fill("/a/{project}/", project=project)


@given(times, times)
def test_default_times_sort_and_are_names_on_every_system(one, other):
    texts = [compact_time(time) for time in (one, other)]
    assert (texts[0] < texts[1], texts[0] == texts[1]) == (one < other, one == other)
    assert all(re.fullmatch(r"\d{8}T\d{6}(_\d{6})?Z", text) for text in texts)


@pytest.mark.parametrize("fraction", [0, 1, 500_000])
def test_times_sort_whatever_stands_behind_them(fraction):
    later = DAY.replace(microsecond=999_999)
    for behind in ("", "/", ".jsonl.gz", "-x", "Z"):
        assert compact_time(DAY.replace(microsecond=fraction)) + behind < compact_time(later) + behind


def test_years_have_four_digits_whatever_the_system_does():
    early = Window(datetime(9, 2, 3, tzinfo=UTC), datetime(9, 2, 4, tzinfo=UTC))
    assert fill("{start:%Y-%m-%d}/{start}/{window_id}", early) == (
        "0009-02-03/00090203T000000Z/00090203T000000Z-00090204T000000Z"
    )


@pytest.mark.parametrize(
    ("project", "folder"),
    [
        ("my-project_2", "my-project_2"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("..", "%2E%2E"),
        ("v1.jsonl.gz", "v1%2Ejsonl%2Egz"),
        ("Team #1", "Team%20%231"),
        ("_shards", "%5Fshards"),
        ("a~b", "a%7Eb"),
        ("event_date=x", "event_date%3Dx"),
        ("{start}", "%7Bstart%7D"),
        ("Ü", "%C3%9C"),
        ("\ud83d", "%ED%A0%BD"),
    ],
)
def test_a_project_is_one_folder(project, folder):
    assert project_folder(project) == folder
    assert fill("/a/{project}/", project=project) == f"/a/{folder}/"


def test_a_long_project_is_cut_and_told_apart_by_a_hash():
    folders = [project_folder("語" * 100 + end) for end in "ab"]
    assert folders[0] != folders[1]
    for folder in folders:
        assert re.fullmatch(r"(%[0-9A-F]{2})+~[0-9a-f]{32}", folder)
        assert len(folder) <= 120


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_projects_never_share_a_folder(one, other):
    folders = [project_folder(project) for project in (one, other)]
    assert (folders[0] == folders[1]) == (one == other)
    for folder in folders:
        assert re.fullmatch(r"[A-Za-z0-9%-][A-Za-z0-9%_~-]*", folder)
        # The project decides nothing but the name.
        assert choose_layout(f"/a/{folder}")[1].object_name is None


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("s3://b/x/{start:%Y/%m}/", "s3://b/x"),
        ("s3://b/x/day-{window_id}.csv", "s3://b/x"),
        ("s3://b/{project}/{end}/", "s3://b/demo"),
        ("s3://b/{{x}}/{project}/", "s3://b/{x}/demo"),
    ],
)
def test_the_folder_of_all_windows_ends_before_the_first_placeholder_of_a_window(path, folder):
    assert OutputPath.parse(path).folder_of_all("demo") == folder
