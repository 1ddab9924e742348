"""Every script and every runnable page of the documentation comes true against the installed program."""

import shutil
from pathlib import Path

import pytest
from player import Player, ScriptFailed

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
PAGES = sorted(
    page
    for folder in ("start", "operating")
    for page in (ROOT / "docs" / folder).glob("*.md")
    if "```console" in page.read_text()
)


@pytest.mark.process
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_comes_true(script: Path, tmp_path: Path) -> None:
    extras = script.with_suffix("")
    if extras.is_dir():
        shutil.copytree(extras, tmp_path, dirs_exist_ok=True)
    with Player(tmp_path, name=script.name) as player:
        player.play(script.read_text())


@pytest.mark.process
@pytest.mark.parametrize("page", PAGES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_page_comes_true(page: Path, tmp_path: Path) -> None:
    with Player(tmp_path, name=page.name) as player:
        player.play_page(page.read_text())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("$ drystone --version\n> no such words", "did not come"),
        ("$ drystone --version\n!> drystone", "it came"),
        ("$ drystone --version\n2> anything", "not on stderr"),
        ("$1 drystone --version", "ended with 0, not 1"),
        ("$ drystone mortar", "ended with 2, not 0"),
        ("dance", "no such word"),
        ("down", "no node runs"),
        ("keep X (y)", "nothing matches"),
    ],
)
def test_a_script_that_does_not_come_true_fails(script: str, reason: str, tmp_path: Path) -> None:
    with Player(tmp_path, name="x.txt") as player, pytest.raises(ScriptFailed, match=reason):
        player.play(script)
