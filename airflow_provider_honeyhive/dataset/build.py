"""Makes training and evaluation files of exports, and publishes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.builds.database import open_events, scratch
from airflow_provider_honeyhive.builds.publication import claim_build
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.dataset.card import write_card
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, Fact, InvalidArgumentError
from airflow_provider_honeyhive.models.options import DATASET_ROWS, check_dataset
from airflow_provider_honeyhive.tables.build import create_tables

if TYPE_CHECKING:
    import os

    from airflow_provider_honeyhive.build_manifest import BuildManifest
    from airflow_provider_honeyhive.builds.sources import Sources
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts


def build_dataset(
    sources: Sources,
    output_path: Any,
    *,
    rows: str = DATASET_ROWS[0],
    where: str | None = None,
    test_share: float = 0.1,
    memory_limit: str = "1GB",
    temp_folder: str | os.PathLike[str] | None = None,
    airflow: AirflowFacts | None = None,
    stop: BuildStop | None = None,
) -> BuildManifest:
    """Make files of chat messages from exports and publish them: whole or not at all, the same bytes each time.

    Rows are in the order of their start. Equal conversations, tools included, become one row.

    :param sources: the exports.
    :param output_path: a folder; anything path-like, or a text.
    :param rows: ``model_calls``, or ``sessions`` for the last model call of each session, chosen before ``where``: a
        session whose last call cannot be read has no row.
    :param where: a SQL condition over the view ``candidates``: all columns of the table ``model_calls``; ``config``,
        ``metadata`` and ``user_properties`` as JSON; ``scores``, name -> number (1 and 0 for true and false), and
        ``score_texts``, name -> text, of the call, and those of its session's root that the call does not have.
    :param test_share: of the sessions whose rows are in the test split, from 0 to 1; the id of a session decides.
    :param memory_limit: of DuckDB, such as ``1GB``; what is more goes to the temporary folder.
    :param temp_folder: where the temporary folder is made; None: where the system has such.
    :param airflow: the task that asks for it.
    :param stop: lets another thread end the build.
    :return: the manifest, in its place.
    :raises InvalidArgumentError: DuckDB or pyarrow is not installed; an argument cannot be right; or the exports hold
        no content.
    :raises DestinationTakenError: the place holds something else.
    :raises DestinationError: an export cannot be read, or is not the one that was published; or a store fails.
    :raises ExportStoppedError: the build was stopped.
    """
    stop = stop or BuildStop()
    _check(sources, rows, where, test_share)
    about = sources.about()
    claim = claim_build(output_path, "dataset", **about, airflow=airflow)
    with open_events(sources, memory_limit=memory_limit, temp_folder=temp_folder, stop=stop) as connection:
        # Here, because they need DuckDB and pyarrow.
        from airflow_provider_honeyhive.dataset.candidates import choose, create_candidates  # noqa: PLC0415
        from airflow_provider_honeyhive.dataset.files import write_files  # noqa: PLC0415
        from airflow_provider_honeyhive.dataset.queries import sql_version  # noqa: PLC0415
        from airflow_provider_honeyhive.dataset.reading import read_conversations  # noqa: PLC0415

        settings: dict[str, Any] = {
            "rows": rows,
            "where": where,
            "test_share": test_share,
            "sql_version": sql_version(),
        }
        create_tables(connection, only=("model_calls", "scores", "roots"))
        create_candidates(connection, last_of_session=rows == "sessions")
        choose(connection, where)
        folder = scratch(connection) / "dataset"
        folder.mkdir()
        read_conversations(connection, folder / "conversations.parquet", stop)
        exports = [source.manifest.manifest_url for source in sources.exports]
        files, counts = write_files(connection, folder, exports, test_share, stop)
        facts = sources.facts()
        card = write_card(folder, **about, settings=settings, counts=counts, files=files, sources=facts)

        return claim.publish([*files, card], sources=facts, settings=settings, counts=counts, stop=stop)


def _check(sources: Sources, rows: str, where: str | None, test_share: float) -> None:
    check_dataset(rows, test_share)
    if where is not None and (not isinstance(where, str) or not where.strip()):
        raise InvalidArgumentError("where", where, "allowed: a SQL condition, or None")
    # A command line may hold bytes that are no text.
    if where is not None and any("\ud800" <= character <= "\udfff" for character in where):
        raise InvalidArgumentError("where", where, "allowed: a SQL condition without halves of characters")
    if not sources.include_content:
        raise InvalidArgumentError(
            "export",
            NOT_SHOWN,
            "it holds no prompts and answers to train on: export again with include_content=True",
            Fact("It was made with include_content=False, which leaves out everything that somebody said"),
        )
