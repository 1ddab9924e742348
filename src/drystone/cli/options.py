"""Options that several commands share: one spelling, one help text."""

from pathlib import Path
from typing import Annotated, Final

import typer

HOME_DEFAULT: Final = Path("drystone-data")

Home = Annotated[
    Path,
    typer.Option(
        "--home", envvar="DRYSTONE_HOME", help="The node's home folder.", show_default=True
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="DRYSTONE_URL",
        help="A node's address. Without it: the node that runs in the home.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document; exit codes stay the same.")
]
Keys = Annotated[
    Path | None,
    typer.Option(
        "--keys", help="Folder of device keys. Without it: HOME/devices.", show_default=False
    ),
]
SignAs = Annotated[
    Path | None,
    typer.Option(
        "--as",
        metavar="KEYFILE",
        exists=True,
        dir_okay=False,
        help="Sign as this member. Without it: the home's operator.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write the bytes to this file.", show_default=False),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Print at most this many rows.")]
Device = Annotated[
    str,
    typer.Argument(
        metavar="DEVICE",
        help="ORGANISATION/DEVICE, or DEVICE alone in the home's organisation;"
        " ORGANISATION/GATEWAY/DEVICE for a device that a gateway attests.",
    ),
]
