"""A process that hangs while it ends is gone in time, and says where it hung."""

import subprocess
import sys

HANG = """
import threading
from drystone.node import deadline
deadline.END_S_MAX = 0.2
deadline.end_soon()
def hangs_here():
    threading.Event().wait()
hangs_here()
"""
TAKEN_BACK = """
import threading
from drystone.node import deadline
deadline.END_S_MAX = 0.2
deadline.end_soon()
deadline.ended()
threading.Event().wait(0.6)
"""


def run(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=60
    )


def test_hanging_process_ends_with_its_stack_on_record() -> None:
    done = run(HANG)
    assert done.returncode == 1
    assert "hangs_here" in done.stderr


def test_deadline_that_is_taken_back_ends_nothing() -> None:
    done = run(TAKEN_BACK)
    assert (done.returncode, done.stderr) == (0, "")
