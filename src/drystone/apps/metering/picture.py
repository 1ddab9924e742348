"""The architecture of metering, drawn from what a ledger holds: meters, their groups and servers, the contract.

Lives here: text out of values; nothing is drawn that the ledger does not say. May not: ask a node. It is a Mermaid
graph, which many viewers and editors draw. Source: requirement S2.25, figure 2 of the paper.
"""

from collections.abc import Mapping
from typing import Any, Final

METERS_SHOWN: Final = 3
"""Meters of a group that get a box of their own; the others are counted."""


def architecture(values: Mapping[str, Any]) -> str:
    """Return the graph meters -> group -> server -> contract of `values`, what the contract keeps by path."""
    lines = ["graph LR", '  contract["contract metering"]']
    for organisation, area in sorted(values.get("areas", {}).items()):
        lines += [
            f'  {_id(server)}["server {server}"] --> contract' for server in sorted(area["servers"])
        ]
        for group, server in sorted(area["groups"].items()):
            name = f"{organisation}/{group}"
            lines.append(f'  {_id(name)}(["group {name}"])')
            if server:
                lines.append(f"  {_id(name)} --> {_id(server)}")
            lines += _meters(values, organisation=organisation, group=group)
    return "\n".join(lines) + "\n"


def _meters(values: Mapping[str, Any], *, organisation: str, group: str) -> list[str]:
    prefix = f"device/{organisation}/"
    members = [
        (path.removeprefix("device/"), value["kind"])
        for path, value in sorted(values.items())
        if path.startswith(prefix) and value["group"] == group
    ]
    target = _id(f"{organisation}/{group}")
    lines = [
        f'  {_id(meter)}["{meter} ({kind})"] --> {target}' for meter, kind in members[:METERS_SHOWN]
    ]
    if len(members) > METERS_SHOWN:
        more = f"{len(members) - METERS_SHOWN} more meters"
        lines.append(f'  {target}_more["{more}"] --> {target}')
    return lines


def _id(name: str) -> str:
    """Return a name as Mermaid takes it for an id; different names stay different."""
    return "n_" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
