"""Invariant 1: same blocks, same start, same application hash: on every Python, hash seed and cache."""

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def heads_under(python: str, hash_seed: str, *words: str) -> list[str]:
    command = [python, str(Path(__file__).parent / "heads.py"), *words]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@lru_cache
def expected() -> tuple[str, ...]:
    return tuple(heads_under(sys.executable, "1"))


def test_another_hash_seed_gives_the_same_heads() -> None:
    assert tuple(heads_under(sys.executable, "2")) == expected()
    assert len(set(expected())) == len(expected())


def test_cold_cache_gives_the_same_heads() -> None:
    assert tuple(heads_under(sys.executable, "3", "cold")) == expected()


def test_lists_instead_of_arrays_give_the_same_heads() -> None:
    assert tuple(heads_under(sys.executable, "4", "lists")) == expected()


def test_another_python_gives_the_same_heads() -> None:
    second = os.environ.get("DRYSTONE_SECOND_PYTHON")
    if not second:
        pytest.skip("DRYSTONE_SECOND_PYTHON names no second interpreter with the dependencies")
    assert tuple(heads_under(second, "5")) == expected()
