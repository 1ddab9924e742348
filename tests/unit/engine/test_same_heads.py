"""Same blocks, same start: the same application hash, whatever runs them (design.md section 8.1).

Method: `python -m drystone.sim.heads` in processes of their own, with other hash seeds, with
restarts and without any memory, and with a second Python where one is given.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import drystone
from drystone.sim.heads import heads

SEED = "same"
BLOCKS = 24
SECOND = os.environ.get("DRYSTONE_SECOND_PYTHON", "")


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return heads(SEED, blocks=BLOCKS, restart_every=0, cold=False)


def printed(python: str, *arguments: str, hash_seed: str) -> list[str]:
    source = Path(drystone.__file__).parent.parent
    done = subprocess.run(
        [python, "-m", "drystone.sim.heads", SEED, "--blocks", str(BLOCKS), *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("hash_seed", ["0", "20261120"])
def test_two_hash_seeds_come_to_the_same_heads(expected: list[str], hash_seed: str) -> None:
    assert printed(sys.executable, hash_seed=hash_seed) == expected


@pytest.mark.parametrize(("restart_every", "cold"), [(1, False), (7, False), (0, True), (5, True)])
def test_restarts_and_cold_caches_come_to_the_same_heads(
    expected: list[str], restart_every: int, cold: bool
) -> None:
    assert heads(SEED, blocks=BLOCKS, restart_every=restart_every, cold=cold) == expected


@pytest.mark.skipif(
    not SECOND,
    reason="set DRYSTONE_SECOND_PYTHON to another Python (tools/second_python.py makes one)",
)
def test_a_second_python_comes_to_the_same_heads(expected: list[str]) -> None:
    assert printed(SECOND, hash_seed="1") == expected


def test_another_seed_comes_to_other_heads(expected: list[str]) -> None:
    other = heads("other", blocks=3, restart_every=0, cold=False)
    assert not set(other) & set(expected)
    assert len(set(expected)) == BLOCKS + 2
