"""A contract as its author keeps it: a folder with `contract.toml`, `contract.star`, profiles, roles and tests.

Lives here: reading such a folder into a checked `Package`, with errors that name the file and line on disk. May
not: run a contract or reach a node. Beside the folder's own files there may be `profiles.toml` (`[[profile]]`
tables, each the arguments of `registry.profile`), `roles.toml` (`[roles]`: what each role that the calls ask
for means to people), `cost.json` (`gas.py`) and `test_*.py`.

Place in a contract's life: before submit. Source: design section 5, docs/concepts/contracts.md.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from drystone.contracts.package import ANYONE, Package, make_package
from drystone.errors import ContractManifest, ContractSource
from drystone.ledger.rows import ROLES

MANIFEST: Final = "contract.toml"
SOURCE: Final = "contract.star"
PROFILES: Final = "profiles.toml"
ROLES_FILE: Final = "roles.toml"
COST: Final = "cost.json"
APPS: Final = Path(__file__).parent.parent / "apps"
"""The contracts that come with the program."""
_QUOTED: Final = re.compile(r"'([^']+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractFolder:
    """A folder that was read and holds together; `manifest` is what its file says, before it was checked."""

    path: Path
    package: Package
    manifest: dict[str, Any]
    profiles: tuple[dict[str, Any], ...] = ()
    roles: dict[str, str]

    @property
    def name(self) -> str:
        """The contract's name."""
        return self.package.manifest.name

    @property
    def version(self) -> int:
        """The version that the manifest names."""
        return self.package.manifest.version

    def arguments(self, *, version: int | None = None) -> dict[str, Any]:
        """Return the arguments of `contracts.submit`, as this version or another."""
        manifest = self.manifest if version is None else {**self.manifest, "version": version}
        return {"manifest": manifest, "source": self.package.source}


def read_folder(path: Path | str) -> ContractFolder:
    """Read and check the contract in a folder: manifest, source, that they fit each other, profiles and roles.

    Does not check what only a ledger knows: that roles exist, that the version is higher than the running one.

    Raises:
        ContractManifest: `file:line: rule` of contract.toml, profiles.toml or roles.toml, or a file is missing.
        ContractSource: `file:line: rule` of contract.star.
    """
    folder = Path(path)
    manifest = _read_toml(folder / MANIFEST)
    if manifest is None:
        raise ContractManifest(f"{folder}: a contract's folder holds {MANIFEST}")
    source = read_source(folder / SOURCE)
    try:
        package = make_package(manifest, source)
    except ContractSource as error:
        raise ContractSource(_at_home(str(error), folder / SOURCE)) from error
    except ContractManifest as error:
        raise ContractManifest(_in_file(folder / MANIFEST, str(error))) from error
    roles = _read_roles(folder / ROLES_FILE, package)
    profiles = _read_profiles(folder / PROFILES)
    return ContractFolder(
        path=folder, package=package, manifest=manifest, profiles=profiles, roles=roles
    )


def find_folder(name: Path | str, *, near: Path | None = None) -> Path:
    """Return the folder that `name` means: a path, a folder beside or in `near`, or a contract of the program.

    Raises:
        ContractManifest: there is none.
    """
    tried = [Path(name)]
    if near is not None:
        tried += [near / name, near.parent / name]
    tried.append(APPS / name)
    for folder in tried:
        if (folder / MANIFEST).is_file():
            return folder
    raise ContractManifest(f"no contract {str(name)!r}: looked in {', '.join(map(str, tried))}")


def bundled_folders() -> list[Path]:
    """Return the folders of the contracts that come with the program, sorted by name."""
    return sorted(path.parent for path in APPS.glob(f"*/{MANIFEST}"))


def read_source(path: Path) -> str:
    """Return a contract's text. Raises: ContractSource when the file is missing or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ContractSource(f"{path}:1: the file is missing") from None
    except UnicodeDecodeError as error:
        raise ContractSource(f"{path}:1: not UTF-8 ({error.reason})") from error


def _read_toml(path: Path) -> dict[str, Any] | None:
    """Return a file's tables, or None without the file; what the ledger cannot carry is refused."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise ContractManifest(f"{path}:1: not UTF-8 ({error.reason})") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise ContractManifest(f"{path}:{line[1] if line else 1}: {error}") from error
    _check_plain(path, tables)
    return tables


def _check_plain(path: Path, value: object) -> None:
    if isinstance(value, dict):
        for part in cast("dict[str, object]", value).values():
            _check_plain(path, part)
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            _check_plain(path, part)
    elif not isinstance(value, int | str):
        raise ContractManifest(
            _in_file(path, f"{str(value)!r}: {type(value).__name__}, only whole numbers and texts")
        )


def _read_profiles(path: Path) -> tuple[dict[str, Any], ...]:
    tables = _read_toml(path)
    if tables is None:
        return ()
    listed = tables.pop("profile", [])
    if tables or not isinstance(listed, list):
        raise ContractManifest(_in_file(path, f"[[profile]] tables only, not {sorted(tables)}"))
    profiles = cast("list[object]", listed)
    for profile in profiles:
        name = cast("dict[str, Any]", profile).get("name") if isinstance(profile, dict) else None
        if not isinstance(name, str):
            raise ContractManifest(_in_file(path, "a profile has a name"))
    return tuple(cast("list[dict[str, Any]]", profiles))


def _read_roles(path: Path, package: Package) -> dict[str, str]:
    tables = _read_toml(path)
    if tables is None:
        return {}
    roles = tables.pop("roles", None)
    if tables or not isinstance(roles, dict):
        raise ContractManifest(_in_file(path, "one table [roles]: role = what it means"))
    told = cast("dict[str, str]", roles)
    asked = {role for spec in package.manifest.calls.values() for role in spec.roles}
    missing = asked - told.keys() - ROLES - {ANYONE}
    if missing:
        raise ContractManifest(
            _in_file(path, f"{min(missing)!r} is asked for by a call and not explained")
        )
    return told


def _at_home(message: str, path: Path) -> str:
    """Name the file on disk where the guard named `<contract>.star`."""
    _, _, rest = message.partition(".star:")
    return f"{path}:{rest}" if rest else f"{path}:1: {message}"


def _in_file(path: Path, message: str) -> str:
    """Name the line that a manifest's error is about.

    By the path at its beginning (`calls.pay.args.to`), each part below the one before; else by the first word that
    the message quotes, or begins with, and that the file holds.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    dotted = re.match(r"[a-z_]+(?:\.\w+)+", message)
    for word in dotted[0].split(".") if dotted else []:
        at = _line_with(lines, word, at, around='\\w"-') or at
    for word in [*_QUOTED.findall(message), message.split(" ", 1)[0]]:
        at = at or _line_with(lines, word, 0)
    return f"{path}:{at or 1}: {message}"


def _line_with(lines: list[str], word: str, start: int, *, around: str = r"\w-") -> int:
    """Return the number of the first line from `start` on that holds a word; 0 for none."""
    pattern = re.compile(rf"(?<![{around}]){re.escape(word)}(?![{around}])")
    found = (n for n, line in enumerate(lines, 1) if n >= start and pattern.search(line))
    return next(found, 0)
