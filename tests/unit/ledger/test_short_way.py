"""The pipeline's short way for what nearly every record is: it gives what the long way gives, or stands aside."""

from collections.abc import Callable

import pytest

from drystone.contracts.rules import RULES, TAKES_ALL, ReadingContext
from drystone.ledger import apply as pipeline
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import Change
from drystone.ledger.genesis import decode_genesis
from drystone.sim.chain import Chain, make_chain
from drystone.storage.memory import MemoryView


def replayed(chain: Chain) -> list[Change]:
    view = MemoryView.from_genesis(decode_genesis(chain.genesis))
    memory = Memory()
    changes: list[Change] = []
    for block in chain.blocks:
        change = apply(view, block, memory)
        view.install(change)
        changes.append(change)
    return changes


def counted(function: Callable[..., bool], taken: list[bool]) -> Callable[..., bool]:
    def call(*arguments: object) -> bool:
        taken.append(function(*arguments))
        return taken[-1]

    return call


@pytest.mark.parametrize("seed", range(6))
def test_short_way_and_long_way_give_the_same_changes(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chain = make_chain(f"short/{seed}", blocks=14, devices=5, records=14)
    taken: list[bool] = []
    monkeypatch.setattr(pipeline, "_take_plain", counted(pipeline._take_plain, taken))
    short = replayed(chain)
    assert True in taken, "the chain goes the short way at least once"
    assert False in taken, "the chain holds what the short way leaves to the long one"
    monkeypatch.setattr(pipeline, "_take_plain", lambda *_: False)
    assert replayed(chain) == short == list(chain.changes)


@pytest.mark.parametrize("name", sorted(TAKES_ALL))
def test_rule_that_takes_all_says_so_when_it_is_called(name: str) -> None:
    context = ReadingContext("ewz", "m-1", 3, 7, -5, "late")
    assert RULES[name](context, (("e", "Wh", 1, None),)) == ((), 0)
