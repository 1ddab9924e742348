"""`fsck`, `backup`, `restore`: look after the files of a node."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drystone.cli import exits, options
from drystone.cli.output import emit, facts, number
from drystone.cli.progress import Bar

if TYPE_CHECKING:
    from drystone.storage.fsck import Finding

FINDINGS_SHOWN = 20


def fsck(
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Recompute everything, name what is damaged.

    Starts from genesis, vertices and stored blocks, reads only, and believes nothing that it can
    compute: every vertex, record, outcome, state row, tile and the head. Stop the node first, or
    check a backup. Ends with 1 when a row is damaged; each is named with table, row and column.

    Examples:
      drystone fsck
      drystone fsck --home /backup/drystone-2026-11-20 --json
    """
    from drystone.errors import HomeInvalid
    from drystone.storage.fsck import fsck as check

    if not home.is_dir():
        raise HomeInvalid(f"there is no folder {home}")
    with Bar("recompute", total=1, unit="blocks") as bar:
        found = check(home, progress=_progress(bar))
    emit(
        {"ok": not found, "findings": [finding._asdict() for finding in found]},
        as_json=as_json,
        text=lambda: findings_text(home, found),
    )
    if found:
        raise exits.CheckFailed


def findings_text(home: Path, found: Sequence["Finding"]) -> str:
    """Say what is damaged, the first findings one by one."""
    if not found:
        return f"clean: {home}"
    lines: list[str] = []
    for one in found[:FINDINGS_SHOWN]:
        place = [("table", one.table), ("row", one.row), ("column", one.column)]
        named = ", ".join(f"{label} {value}" for label, value in place if value)
        lines += [f"damaged: {one.database}" + (f", {named}" if named else ""), f"  {one.what}"]
    rest = len(found) - FINDINGS_SHOWN
    return "\n".join([*lines, *([f"and {number(rest)} more"] if rest > 0 else [])])


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A folder that does not exist yet.")
    ],
    keys: Annotated[
        bool,
        typer.Option(
            "--keys/--no-keys", help="Take the secret keys along; no node starts without them."
        ),
    ] = True,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Copy a home, while its node runs or not.

    The copy is whole and consistent. It holds the secret keys: keep it as safe as the home.

    Examples:
      drystone backup /backup/drystone-2026-11-20
      drystone backup copy && drystone fsck --home copy
    """
    from drystone.storage.backup import backup as copy_home

    with Bar("copy", total=1, unit="pages") as bar:
        copy_home(home, target, with_keys=keys, progress=_progress(bar))
    emit(
        {"ok": True, "target": str(target)},
        as_json=as_json,
        text=lambda: facts([("backup", target), ("check it", f"drystone fsck --home {target}")]),
    )


def restore(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", exists=True, file_okay=False, help="A folder of `backup`."
        ),
    ],
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Recompute everything first, as fsck does.")
    ] = True,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Make a home from a backup. The home must not exist yet; nothing is overwritten.

    Run only one node with a home's keys: a restored node goes on where the backup ends, so
    never start the old one again.

    Examples:
      drystone restore /backup/drystone-2026-11-20 --home /srv/drystone
      drystone restore copy --home fresh --no-verify
    """
    from drystone.storage.backup import restore as make_home

    with Bar("recompute", total=1, unit="blocks") as bar:
        make_home(source, home, verify=verify, progress=_progress(bar))
    emit(
        {"ok": True, "home": str(home), "verified": verify},
        as_json=as_json,
        text=lambda: facts(
            [
                ("restored", home),
                ("verified", "yes" if verify else "no: run drystone fsck"),
                ("next", f"drystone up --home {home}"),
            ]
        ),
    )


def _progress(bar: Bar) -> Callable[[int, int], None]:
    """Draw how far something is; each file of a copy starts anew."""
    seen = [0, 0]  # done and total, as drawn

    def move(done: int, total: int) -> None:
        if total != seen[1] or done < seen[0]:
            bar.restart(total)
            seen[:] = [0, total]
        bar.advance(done - seen[0])
        seen[0] = done

    return move
