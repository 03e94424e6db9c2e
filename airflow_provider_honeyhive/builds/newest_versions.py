"""The newest version of each event, of all rows in the data files of a build: plain SQL in little memory.

What is left out is found first: few ids occur more than once. So nothing as large as the exports is sorted or joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.builds.sources import parquet_name
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES
from airflow_provider_honeyhive.models.window import format_time

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_honeyhive.builds.sources import Sources

_COLUMNS = ", ".join(f'"{name}"' for name in COLUMN_NAMES)

#: What is filled in here and below are names, times and numbers, and paths, quoted.
_STORED = """
CREATE VIEW stored AS
SELECT {columns}, substring(filename, -16, 8)::BIGINT AS file_number, (file_number << 32) + file_row_number AS place
FROM read_parquet({files}, filename = true, file_row_number = true, hive_partitioning = false)
"""

_DATA_FILES = """
CREATE TABLE data_files (
    file_number BIGINT, export_number INTEGER, set_number INTEGER, is_correction BOOLEAN, counts_untimed BOOLEAN
)
"""

#: Rows of an event of which a later set of files has a version, or the same set in an earlier row.
_SUPERSEDED = """
CREATE TABLE left_out AS
WITH repeated AS (
    -- Hashes take less memory than ids, and two ids of one hash do no harm: ids are compared below.
    SELECT hash(event_id) AS id_hash FROM stored WHERE event_id <> '' GROUP BY ALL HAVING count(*) > 1
),
versions AS (
    SELECT event_id, place, file_number
    FROM stored SEMI JOIN repeated ON hash(stored.event_id) = repeated.id_hash
    WHERE event_id <> ''
)
SELECT place
FROM versions JOIN data_files USING (file_number)
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY set_number DESC, place) > 1
"""

#: Rows without a time, in exports of which only a part lies in the window, and not its beginning.
_UNTIMED = """
INSERT INTO left_out
SELECT place FROM stored JOIN data_files USING (file_number)
WHERE start_time IS NULL AND NOT is_correction AND NOT counts_untimed
"""

#: Corrections whose time does not tell whether they are of the window, and that correct no row of it.
_STRANGE_CORRECTIONS = """
INSERT INTO left_out
WITH corrections AS (
    SELECT place, event_id, session_id FROM stored JOIN data_files USING (file_number)
    WHERE is_correction AND ({whole_sessions} OR start_time IS NULL)
),
known_events AS (
    SELECT event_id FROM stored SEMI JOIN corrections USING (event_id) JOIN data_files USING (file_number)
    WHERE event_id <> '' AND NOT is_correction
),
known_sessions AS (
    SELECT session_id FROM stored SEMI JOIN corrections USING (session_id) JOIN data_files USING (file_number)
    WHERE session_id <> '' AND NOT is_correction AND {whole_sessions}
)
SELECT place FROM corrections ANTI JOIN known_events USING (event_id) ANTI JOIN known_sessions USING (session_id)
"""

_WINDOWS = """
CREATE TABLE windows (set_number INTEGER, start_time TIMESTAMPTZ, end_time TIMESTAMPTZ)
"""

#: Corrections of what a later export has read anew: where it does not hold the event, the event is gone.
_OUTDATED = """
INSERT INTO left_out
SELECT place FROM stored JOIN data_files USING (file_number)
WHERE is_correction AND EXISTS (
    FROM windows
    WHERE windows.set_number > data_files.set_number
    AND stored.start_time >= windows.start_time AND stored.start_time < windows.end_time
)
"""

#: The same where exports are of whole sessions.
_OUTDATED_IN_SESSIONS = """
INSERT INTO left_out
WITH corrections AS (
    SELECT place, session_id, set_number FROM stored JOIN data_files USING (file_number)
    WHERE is_correction AND session_id <> ''
),
read_again AS (
    SELECT session_id, max(set_number) AS set_number
    FROM stored SEMI JOIN corrections USING (session_id) JOIN data_files USING (file_number)
    WHERE NOT is_correction
    GROUP BY session_id
)
SELECT place FROM corrections JOIN read_again USING (session_id)
WHERE read_again.set_number > corrections.set_number
"""

_EXPORTED = """
CREATE VIEW exported AS
SELECT {columns}, place, ({export_numbers})[file_number + 1]::INTEGER AS export_number
FROM stored{left_out}{inside}
"""


def create_exported(connection: duckdb.DuckDBPyConnection, sources: Sources, folder: Path) -> None:
    """Create the view ``exported``, see :func:`~airflow_provider_honeyhive.builds.database.open_events`.

    :param folder: where :func:`~airflow_provider_honeyhive.builds.parquet_files.gather` has put the data files.
    """
    files = sources.data_files()
    # Not by a pattern, which would find less where a file is gone.
    paths = [quoted_text(str(folder / parquet_name(number))) for number in range(len(files) + 1)]
    connection.execute(_STORED.format(columns=_COLUMNS, files=f"[{', '.join(paths)}]"))
    connection.execute(_DATA_FILES)
    for file in files:
        values = (file.number, file.export_number, file.set_number, file.is_correction, file.counts_untimed)
        connection.execute("INSERT INTO data_files VALUES (?, ?, ?, ?, ?)", values)
    connection.execute(_SUPERSEDED)
    if not all(file.counts_untimed or file.is_correction for file in files):
        connection.execute(_UNTIMED)
    if any(file.is_correction for file in files):
        connection.execute(_STRANGE_CORRECTIONS.format(whole_sessions=sources.whole_sessions))
        connection.execute(_WINDOWS)
        for window in sources.set_windows():
            connection.execute("INSERT INTO windows VALUES (?, ?, ?)", window)
        connection.execute(_OUTDATED_IN_SESSIONS if sources.whole_sessions else _OUTDATED)
    inside = ""
    if sources.cut and sources.window is not None:
        start, end = (
            f"TIMESTAMPTZ {quoted_text(format_time(time))}" for time in (sources.window.start, sources.window.end)
        )
        inside = f" WHERE start_time IS NULL OR (start_time >= {start} AND start_time < {end})"
    ((count,),) = connection.execute("SELECT count(*) FROM left_out").fetchall()
    connection.execute(
        _EXPORTED.format(
            columns=_COLUMNS,
            # The empty file at the end has a number, too.
            export_numbers=[*(file.export_number for file in files), 0],
            left_out=" ANTI JOIN left_out USING (place)" if count else "",
            inside=inside,
        )
    )


def quoted_text(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
