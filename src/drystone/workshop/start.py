"""A new contract's folder: a small one that works, with its tests, under the author's name.

Lives here: `begin`, behind `drystone contract new`. The files stand in `template/`, where a test runs them. May not:
touch a folder that holds anything.
"""

import re
from pathlib import Path
from typing import Final

from drystone.contracts.package import RESERVED
from drystone.errors import AlreadyExists, ContractManifest
from drystone.workshop.folder import MANIFEST, PROFILES, SOURCE

TEMPLATE: Final = Path(__file__).parent / "template"
TEST: Final = "test_contract.txt"
"""The template's tests, with a name that no test runner looks at."""
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_EXAMPLE: Final = "example"


def begin(name: str, folder: Path) -> list[Path]:
    """Write a contract called `name` into `folder`, which is made or empty; return the files.

    Raises:
        ContractManifest: `name` is no name for a contract.
        AlreadyExists: the folder holds something.
    """
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ContractManifest(f"name {name!r}: lower case, digits, hyphen, and not taken")
    if folder.exists() and any(folder.iterdir()):
        raise AlreadyExists(f"{folder} holds something already")
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        MANIFEST: MANIFEST,
        SOURCE: SOURCE,
        PROFILES: PROFILES,
        TEST: f"test_{name.replace('-', '_')}.py",
    }
    written: list[Path] = []
    for source, target in names.items():
        text = (TEMPLATE / source).read_text(encoding="utf-8")
        (folder / target).write_text(text.replace(_EXAMPLE, name), encoding="utf-8")
        written.append(folder / target)
    return written
