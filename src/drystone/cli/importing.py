"""`import`: a recorded table becomes signed records, with a progress bar; it resumes where it stopped.

The order of records depends on the table and the mapping alone. A journal in the key folder says from which place of
its stream each device began and how many records are acknowledged; it is written before the records it speaks of
are sent. Records that were sent and not yet noted are sent again and answered `already`: nothing is lost or doubled.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drystone.cli import exits, options
from drystone.cli.output import emit, facts, number, size

if TYPE_CHECKING:
    from drystone.importer.delivery import Summary


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The table (CSV).")
    ],
    mapping: Annotated[
        Path,
        typer.Option(
            "--map",
            exists=True,
            dir_okay=False,
            help="The mapping (TOML): columns to measurements.",
        ),
    ],
    enrol: Annotated[
        bool, typer.Option("--enrol", help="Make keys for devices that have none, and enrol them.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Report a bad row and go on.")
    ] = False,
    batch: Annotated[
        int, typer.Option("--batch", min=1, max=4_096, help="Records per request.")
    ] = 100,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check the whole table, send nothing.")
    ] = False,
    keys: options.Keys = None,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Sign and send a recorded table (CSV).

    Wide or long, digit for digit. A mapping file says which columns are which measurements;
    docs/reference/mapping.md describes it. Every device signs with its own key from the key
    folder. Stop it whenever you like: the same command goes on where it stopped. Ends with 1 when
    a row was bad or a record refused.

    Examples:
      drystone import week44.csv --map swiss.toml --enrol
      drystone import week44.csv --map swiss.toml --dry-run
    """
    from drystone.cli.importer_run import check_table, run_import

    if dry_run:
        summary = check_table(file, mapping)
    else:
        summary = run_import(
            file,
            mapping,
            home=home,
            url=url,
            keys=keys,
            enrol=enrol,
            skip_bad_rows=skip_bad_rows,
            batch=batch,
        )
    emit(summary.as_json(), as_json=as_json, text=lambda: summary_text(summary))
    if not summary.clean:
        raise exits.CheckFailed


def summary_text(summary: "Summary") -> str:
    """Say in a few lines what became of an import."""
    outcomes = ", ".join(f"{number(count)} {code}" for code, count in sorted(summary.codes.items()))
    lines = facts(
        [
            ("records", number(summary.records)),
            ("measurements", number(summary.measurements)),
            ("devices", number(summary.devices)),
            ("outcomes", outcomes or None),
            (
                "resumed",
                f"{number(summary.resumed)} were there already" if summary.resumed else None,
            ),
            ("sent", size(summary.sent_bytes) if summary.sent_bytes else None),
            ("bad rows", number(len(summary.bad)) if summary.bad else None),
        ]
    )
    return "\n".join([lines, *(f"  {reason}" for reason in summary.bad[:20])])
