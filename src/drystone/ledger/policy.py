"""Who may read what of an organisation, as its governors lay it down on the ledger.

A node that serves under the read policy `rules` gives away nothing without a rule from here, but for what everybody has
of themselves (`read_rights.py`). Reading is no part of the ledger's state machine: rules are written here, and applied
over a committed state when somebody asks.

A rule is three texts. `who`: `anyone`, `members`, `organisation:ISS`, `member:ISS/SUB`, `role:NAME` (of the
organisation's own members) or `role:ISS/NAME`. `what`: `streams` (with their records), `receipts`, `members`, `states`
(contracts' values) or `ledger` (blocks, contracts, profiles; for the organisation's own members). `of`: for streams,
receipts and members a pattern (`*`, `m-*`, `gw-1/*`), `profile:NAME`, or `{own}`; for states `CONTRACT/part/part`, a
part being text, `*`, `{me}` or `{own}`; for the ledger `*`.

`{me}` is the asker. `{own}` are the devices that a contract has under the asker's name at the path `own`: that is how a
household sees its own meters and nothing else (requirement S2.5). Source: issue 4 item 2, requirements S2.5, S2.6.
"""

import re
from typing import Final, cast

from drystone.contracts.rules import Event
from drystone.errors import ArgumentsMalformed
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, CallResult
from drystone.limits import READ_RULES_MAX

STREAMS: Final = "streams"
RECEIPTS: Final = "receipts"
MEMBERS: Final = "members"
STATES: Final = "states"
LEDGER: Final = "ledger"
KINDS: Final = frozenset({STREAMS, RECEIPTS, MEMBERS, STATES, LEDGER})

ME: Final = "{me}"
OWN: Final = "{own}"

ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}"
_ROLE: Final = r"[a-z][a-z0-9_]{0,31}"
_WHO: Final = re.compile(
    rf"anyone|members|organisation:{ID}|member:{ID}/{ID}|role:(?:{ID}/)?{_ROLE}", re.ASCII
)
_PATTERN: Final = re.compile(r"[A-Za-z0-9._*-]{1,48}(?:/[A-Za-z0-9._*-]{1,48})?", re.ASCII)
_NAMED: Final = re.compile(rf"profile:{ID}|\{{own\}}", re.ASCII)
_CONTRACT: Final = r"[a-z][a-z0-9-]{0,31}"
_PART: Final = r"[^/*{}\x00-\x1f]{1,64}"
_PATH: Final = re.compile(rf"{_CONTRACT}(?:/(?:{_PART}|\*|\{{me\}}|\{{own\}}))*")
_PLACE: Final = re.compile(rf"{_CONTRACT}(?:/{_PART})+")


def set_policy(call: Call, args: Arguments) -> CallResult:
    """Lay down who may read what of the sender's organisation; replaces the rules before. Needs the governor's role.

    `rules`: list of `{who, what, of}` (docs/operating/access.md), none: nobody but the organisation itself. `own?`:
    `CONTRACT/PATH`, where a contract has under ISS/SUB which devices are whose.
    """
    call.demand(rows.GOVERNOR)
    listed = cast("list[object]", args.of_kind("rules", "list"))
    own = args.text("own") if args.has("own") else None
    args.finish()
    if len(listed) > READ_RULES_MAX:
        raise ArgumentsMalformed(f"rules: at most {READ_RULES_MAX}")
    if own is not None and not _PLACE.fullmatch(own):
        raise ArgumentsMalformed("own: CONTRACT/PATH is expected")
    found: list[rows.ReadRule] = []
    for index, item in enumerate(listed):
        one = Arguments(item, f"rules[{index}]")
        rule = rows.ReadRule(one.text("who"), one.choice("what", KINDS), one.text("of"))
        one.finish()
        _check_rule(rule, f"rules[{index}]", has_own=own is not None)
        found.append(rule)
    iss = call.sender.iss
    writes: dict[bytes, bytes | None] = {
        keyspace.policy(iss): rows.Policy(tuple(found), own).encode()
    }
    data = {"iss": iss, "rules": len(found), "by": call.sender.sub}
    return CallResult(writes, (Event("registry", "policy", data),))


def _check_rule(rule: rows.ReadRule, where: str, *, has_own: bool) -> None:
    if not _WHO.fullmatch(rule.who):
        raise ArgumentsMalformed(f"{where}: {rule.who!r} names nobody")
    if not fits_kind(rule.what, rule.of):
        raise ArgumentsMalformed(f"{where}: {rule.of!r} names no {rule.what}")
    if OWN in rule.of and not has_own:
        raise ArgumentsMalformed(f"{where}: {OWN} needs `own`")
    if rule.who == "anyone" and (OWN in rule.of or ME in rule.of or rule.what == LEDGER):
        raise ArgumentsMalformed(f"{where}: whoever is not known has nothing of their own")


def fits_kind(what: str, of: str) -> bool:
    """Say whether `of` is spelt as a rule for `what` has it."""
    if what == LEDGER:
        return of == "*"
    if what == STATES:
        return _PATH.fullmatch(of) is not None
    return bool(_PATTERN.fullmatch(of) or _NAMED.fullmatch(of))
