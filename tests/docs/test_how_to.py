"""The recipes: they parse on their own; they are run by ``tests/system/test_page_dags.py``."""

from __future__ import annotations

import pytest

from .documents import Document, run_python

PAGE = Document("docs/how-to.md")


@pytest.mark.parametrize("recipe", PAGE.snippets("python"), ids=lambda recipe: recipe.section)
def test_a_recipe_makes_a_dag_whose_paths_tell_windows_apart(recipe):
    dag = run_python(
        recipe.text.replace("):\n    H", ") as dag:\n    H").replace("):\n    export", ") as dag:\n    export")
    )["dag"]
    assert "export" in dag.task_ids
    assert "{start:" in recipe.text or "{window_id}" in recipe.text
