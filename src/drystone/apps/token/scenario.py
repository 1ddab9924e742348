"""The token's own data for demos and tests: the calls that begin it, and seeded transfers among members.

Lives here: pure values; the same arguments give the same calls. May not: sign or send anything. `expected` works out
the balances without the contract, so that a demo can hold the ledger against it.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

CONTRACT: Final = "token"
NAME: Final = "Work token"
SYMBOL: Final = "WORK"
DECIMALS: Final = 2


class Call(NamedTuple):
    """A call and who signs it: a member as ISS/SUB."""

    sender: str
    contract: str
    function: str
    args: dict[str, Any]


class Transfer(NamedTuple):
    """Tokens that move from one member to another."""

    giver: str
    receiver: str
    amount: int


def profiles() -> tuple[dict[str, Any], ...]:
    """Return no profiles: a token handles no readings."""
    return ()


def setup_calls(*, owner: str, shares: Mapping[str, int]) -> list[Call]:
    """Return the calls that begin the token and mint each member's share; `owner` is a governor, ISS/SUB."""
    args = {"name": NAME, "symbol": SYMBOL, "decimals": DECIMALS}
    calls = [Call(owner, CONTRACT, "create", args)]
    for receiver, amount in sorted(shares.items()):
        calls.append(Call(owner, CONTRACT, "mint", {"receiver": receiver, "amount": amount}))
    return calls


def transfers(*, seed: int, members: Sequence[str], most: int, count: int) -> list[Transfer]:
    """Return `count` transfers of 1 to `most` tokens between two of `members` each; some nobody can afford."""
    draw = random.Random(seed)  # noqa: S311 - seeded data, nothing secret
    drawn: list[Transfer] = []
    for _ in range(count):
        giver, receiver = draw.sample(list(members), 2)
        drawn.append(Transfer(giver, receiver, draw.randrange(1, most + 1)))
    return drawn


def transfer_call(transfer: Transfer) -> Call:
    """Return the call that makes a transfer."""
    args = {"receiver": transfer.receiver, "amount": transfer.amount}
    return Call(transfer.giver, CONTRACT, "transfer", args)


def expected(shares: Mapping[str, int], moved: Sequence[Transfer]) -> dict[str, int]:
    """Return who holds how much after `moved`, overdrafts left out; members with nothing are not listed."""
    held = dict(shares)
    for giver, receiver, amount in moved:
        if held.get(giver, 0) >= amount:
            held[giver] -= amount
            held[receiver] = held.get(receiver, 0) + amount
    return {member: amount for member, amount in held.items() if amount}
