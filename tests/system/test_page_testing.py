"""What ``docs/testing.md`` has for pytest, put into files and run as users would, on either Airflow."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.docs.documents import ROOT, Document

PAGE = Document("docs/testing.md")
FILES = {"pytest.ini": "text", "honeyhive_daily.py": "python", "test_honeyhive_daily.py": "python"}


def test_the_three_files_of_the_page_pass_and_notice_an_export_that_is_not_whole(tmp_path):
    for name, language in FILES.items():
        text = PAGE.the(language, f"# {name}\n")
        (tmp_path / name).write_text(text, encoding="utf-8")
        if language == "python":
            wrong = text.replace("honeyhive_daily", "honeyhive_wrong").replace(
                'task_id="export",', 'task_id="export", filters=[{"field": "error", "operator": "exists"}],'
            )
            (tmp_path / name.replace("daily", "wrong")).write_text(wrong, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        # Nothing of the Airflow of these tests: the page makes its own.
        env={name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 1, done.stdout[-5000:] + done.stderr[-2000:]
    assert "2 failed, 4 passed" in done.stdout
    assert done.stdout.count("\nFAILED test_honeyhive_wrong.py::") == 2
