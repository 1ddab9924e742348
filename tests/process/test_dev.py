"""`drystone dev`: a save is deployed, a mistake is told, Ctrl-C leaves neither process nor folder behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drystone.client.rest import Client, Endpoint
from drystone.errors import NodeAbsent
from drystone.workshop.start import begin

WAIT_S_MAX = 60


class Watching:
    """A running `drystone dev` and what it printed."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "drystone.cli", "dev", "--watch", str(folder)],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < deadline:
            found = re.search(pattern, self.log.read_text())
            if found is not None:
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)  # waits for another process, which has no way to call back
        raise AssertionError(f"{pattern} did not come:\n{self.log.read_text()}")


@pytest.mark.process
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_saves_are_deployed_until_it_is_stopped(tmp_path: Path, end: signal.Signals) -> None:
    folder = tmp_path / "frost"
    begin("frost", folder)
    watching = Watching(folder, tmp_path / "log")
    try:
        url = watching.wait_for(r"node\s+(http\S+)")
        home = Path(watching.wait_for(r"home\s+(\S+)"))
        watching.wait_for(r"(deployed\s+frost@1 )")
        source = (folder / "contract.star").read_text()
        (folder / "contract.star").write_text(source.replace("max(", "maximum("))
        watching.wait_for(r"(contract\.star:\d+: 'maximum' is no function)")
        (folder / "contract.star").write_text(source + "\ndef unused(ctx):\n    return 1\n")
        watching.wait_for(r"(deployed\s+frost@2 )")
        watching.process.send_signal(end)
        assert watching.process.wait(WAIT_S_MAX) == 0
    finally:
        if watching.process.poll() is None:
            os.killpg(watching.process.pid, signal.SIGKILL)
            watching.process.wait()
    assert watching.log.read_text().rstrip().endswith("stopped")
    assert not home.exists()
    with Client(Endpoint(url=url)) as node, pytest.raises(NodeAbsent):
        node.get("/healthz")


@pytest.mark.process
def test_node_that_cannot_start_ends_it(tmp_path: Path) -> None:
    begin("frost", tmp_path / "frost")
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("nonsense = 1\n")
    words = ["dev", "--watch", str(tmp_path / "frost"), "--home", str(home)]
    done = subprocess.run(
        [sys.executable, "-m", "drystone.cli", *words],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    shutil.rmtree(home)
