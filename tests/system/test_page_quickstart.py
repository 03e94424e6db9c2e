"""The commands of ``docs/quickstart.md``, run in their order in an Airflow of their own, on either Airflow."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from airflow_provider_honeyhive.manifest import Manifest
from tests.docs.documents import ROOT, Document

PAGE = Document("docs/quickstart.md")
DAG_ID = "honeyhive_quickstart"
#: Where the page exports to.
FOLDER = "/tmp/honeyhive"  # noqa: S108 - it is replaced
#: What needs a network or a browser, what opens a shell, and the two other ways to a connection.
LEFT_OUT = ("pip install", "/bin/activate\n", "AIRFLOW_CONN_")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_the_commands_of_the_page_export_files_that_verify(tmp_path):
    blocks = [one.text for one in PAGE.snippets("bash") if not any(part in one.text for part in LEFT_OUT)]
    script = "\n".join(blocks)
    # A whole Airflow is for a browser; all that the other commands need of it is its database.
    assert "\nairflow standalone\n" in script
    script = script.replace("airflow standalone", "airflow db migrate").replace("8765", str(free_port()))
    script = script.replace(FOLDER, f"{tmp_path}/exported")
    for name, module in {"python": "", "airflow": "-m airflow"}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    dag = tmp_path / "airflow-honeyhive" / "dags" / f"{DAG_ID}.py"
    dag.parent.mkdir(parents=True)
    dag.write_text(PAGE.the("python", f'"{DAG_ID}"').replace(FOLDER, f"{tmp_path}/exported"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env["PATH"] = f"{tmp_path}/bin{os.pathsep}{env['PATH']}"
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))

    done = subprocess.run(
        ["/bin/bash", "-euc", f"trap 'kill $(jobs -p)' EXIT\n{script}"],
        env={**env, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Connection success!" in done.stdout
    (manifest,) = tmp_path.glob("exported/date=*/_manifest.json")
    assert Manifest.read(manifest.parent).event_count == 2000
    assert "exports: 1, events: 2000, files: 1" in done.stdout
    assert f"{manifest}\n" in done.stdout
