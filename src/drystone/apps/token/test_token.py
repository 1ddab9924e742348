"""What the token promises: S3, table 2, call by call. Run by `drystone contract test token`, or by plain pytest."""

from pathlib import Path
from typing import Any

import pytest

from drystone.apps.token import scenario
from drystone.workshop.actors import Organisation
from drystone.workshop.chain import Chain


@pytest.fixture
def bank(chain: Chain, org: Organisation) -> Chain:
    """Return a chain on which the operator `ewz/ops` owns a token of which `ewz/ann` has 100."""
    chain.deploy()
    for call in scenario.setup_calls(owner="ewz/ops", shares={"ewz/ann": 100}):
        chain.call(org, f"token.{call.function}", **call.args)
    return chain


def balances(bank: Chain) -> dict[str, int]:
    held = bank.states("token", "balance")
    return {path.removeprefix("balance/"): amount for path, amount in held.items()}


def shop(bank: Chain, tmp_path: Path) -> None:
    """Deploy a contract that takes tokens from whoever calls it, and gives from its own account."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "contract.toml").write_text(
        'name = "shop"\nversion = 1\n'
        "[calls.buy]\nargs = { amount = 'int' }\n"
        "[calls.refund]\nargs = { amount = 'int' }\n"
        "[calls.steal]\nargs = { amount = 'int' }\n"
        "[calls.print_money]\n[calls.count]\n"
    )
    (folder / "contract.star").write_text(
        "def buy(ctx, amount):\n"
        '    call("token", "transfer", {"receiver": "@shop", "amount": amount})\n\n'
        "def refund(ctx, amount):\n"
        '    to = ctx["iss"] + "/" + ctx["sub"]\n'
        '    call("token", "pay", {"receiver": to, "amount": amount})\n\n'
        "def steal(ctx, amount):\n"
        '    call("token", "allow", {"contract": "shop", "amount": amount})\n\n'
        "def print_money(ctx):\n"
        '    call("token", "mint", {"receiver": "@shop", "amount": 1})\n\n'
        "def count(ctx):\n"
        '    put("seen", call("token", "balance", {"account": "@shop"}))\n'
    )
    bank.deploy(folder)


class TestMint:
    def test_owner_mints_for_a_receiver_s3_115(self, bank: Chain, org: Organisation) -> None:
        bank.call(org, "token.mint", receiver="ewz/ben", amount=7)
        assert balances(bank) == {"ewz/ann": 100, "ewz/ben": 7}
        assert bank.state("token", "token")["supply"] == 107

    def test_nobody_else_mints_s3_115(self, bank: Chain) -> None:
        for sender in (bank.member("ann"), bank.org("bkw")):
            with bank.refused("token.not-the-owner"):
                bank.call(sender, "token.mint", receiver="ewz/ann", amount=7)
        assert balances(bank) == {"ewz/ann": 100}

    def test_token_is_created_once(self, bank: Chain) -> None:
        with bank.refused("token.created-already"):
            bank.call(bank.org("bkw"), "token.create", name="x", symbol="X", decimals=0)

    def test_nothing_is_minted_before_there_is_a_token(
        self, chain: Chain, org: Organisation
    ) -> None:
        chain.deploy()
        with chain.refused("token.not-the-owner"):
            chain.call(org, "token.mint", receiver="ewz/ann", amount=1)

    def test_supply_has_a_bound(self, bank: Chain, org: Organisation) -> None:
        with bank.refused("token.too-much"):
            bank.call(org, "token.mint", receiver="ewz/ann", amount=2**62 - 99)

    @pytest.mark.parametrize("decimals", [-1, 19])
    def test_decimals_have_bounds(self, chain: Chain, org: Organisation, decimals: int) -> None:
        chain.deploy()
        with chain.refused("token.bad-token"):
            chain.call(org, "token.create", name="x", symbol="X", decimals=decimals)


class TestTransfer:
    def test_transfer_moves_tokens_and_tells_from_to_amount_s3_116(self, bank: Chain) -> None:
        bank.call(bank.member("ann"), "token.transfer", receiver="ewz/ben", amount=30)
        assert balances(bank) == {"ewz/ann": 70, "ewz/ben": 30}
        (event,) = bank.events_of("token.transfer")
        assert event == {"from": "ewz/ann", "to": "ewz/ben", "amount": 30}

    def test_overdraft_is_refused_and_moves_nothing_s3_116(self, bank: Chain) -> None:
        with bank.refused("token.overdraft"):
            bank.call(bank.member("ann"), "token.transfer", receiver="ewz/ben", amount=101)
        assert balances(bank) == {"ewz/ann": 100}

    def test_whole_balance_may_go_and_leaves_no_row(self, bank: Chain) -> None:
        bank.call(bank.member("ann"), "token.transfer", receiver="ewz/ben", amount=100)
        assert balances(bank) == {"ewz/ben": 100}

    def test_transfer_to_oneself_changes_nothing(self, bank: Chain) -> None:
        bank.call(bank.member("ann"), "token.transfer", receiver="ewz/ann", amount=100)
        assert balances(bank) == {"ewz/ann": 100}

    def test_organisation_elsewhere_holds_tokens_too_s3_98(self, bank: Chain) -> None:
        bank.call(bank.member("ann"), "token.transfer", receiver="bkw/ops", amount=40)
        bank.call(bank.org("bkw"), "token.transfer", receiver="ewz/ben", amount=15)
        assert balances(bank) == {"ewz/ann": 60, "bkw/ops": 25, "ewz/ben": 15}

    @pytest.mark.parametrize("amount", [0, -1, 2**62 + 1])
    def test_amount_is_positive_and_bounded(self, bank: Chain, amount: int) -> None:
        with bank.refused("token.bad-amount"):
            bank.call(bank.member("ann"), "token.transfer", receiver="ewz/ben", amount=amount)

    @pytest.mark.parametrize("receiver", ["", "ann", "ewz/", "/ann", "ewz/g-1/m-1", "@", "@a/b"])
    def test_receiver_is_an_account(self, bank: Chain, receiver: str) -> None:
        with bank.refused("token.bad-account"):
            bank.call(bank.member("ann"), "token.transfer", receiver=receiver, amount=1)

    def test_data_travels_with_tokens_s3_127(self, bank: Chain) -> None:
        args = {"receiver": "ewz/ben", "amount": 1, "data": "c0ffee"}
        outcome = bank.call(bank.member("ann"), "token.transfer_with", **args)
        assert [event.name for event in outcome.events] == ["transfer", "data"]
        assert outcome.events[1].data["data"] == "c0ffee"


class TestContracts:
    def test_contract_takes_only_what_its_caller_allowed(self, bank: Chain, tmp_path: Path) -> None:
        shop(bank, tmp_path)
        ann = bank.member("ann")
        with bank.refused("token.not-allowed"):
            bank.call(ann, "shop.buy", amount=10)
        bank.call(ann, "token.allow", contract="shop", amount=25)
        bank.call(ann, "shop.buy", amount=10)
        bank.call(ann, "shop.buy", amount=15)
        with bank.refused("token.not-allowed"):
            bank.call(ann, "shop.buy", amount=1)
        assert balances(bank) == {"ewz/ann": 75, "@shop": 25}
        assert bank.states("token", "allowed") == {}

    def test_allowance_can_be_taken_back(self, bank: Chain, tmp_path: Path) -> None:
        shop(bank, tmp_path)
        ann = bank.member("ann")
        for amount in (25, 0, 0):
            bank.call(ann, "token.allow", contract="shop", amount=amount)
        with bank.refused("token.not-allowed"):
            bank.call(ann, "shop.buy", amount=1)

    def test_contract_cannot_allow_itself(self, bank: Chain, tmp_path: Path) -> None:
        shop(bank, tmp_path)
        with bank.refused("contract-unknown"):
            bank.call(bank.member("ann"), "shop.steal", amount=100)

    def test_contract_spends_its_own_account_s3_98(self, bank: Chain, tmp_path: Path) -> None:
        shop(bank, tmp_path)
        ann = bank.member("ann")
        bank.call(ann, "token.transfer", receiver="@shop", amount=60)
        bank.call(ann, "shop.refund", amount=20)
        with bank.refused("token.overdraft"):
            bank.call(ann, "shop.refund", amount=41)
        bank.call(ann, "shop.count")
        assert bank.state("shop", "seen") == 40

    def test_member_cannot_spend_a_contracts_account(self, bank: Chain) -> None:
        with bank.refused("token.not-a-contract"):
            bank.call(bank.member("ann"), "token.pay", receiver="ewz/ann", amount=1)

    def test_owner_cannot_be_made_to_mint_by_a_contract(
        self, bank: Chain, org: Organisation, tmp_path: Path
    ) -> None:
        shop(bank, tmp_path)
        with bank.refused("contract-unknown"):
            bank.call(org, "shop.print_money")

    @pytest.mark.parametrize("amount", [-1, 2**62 + 1])
    def test_allowance_is_bounded(self, bank: Chain, amount: int) -> None:
        with bank.refused("token.bad-amount"):
            bank.call(bank.member("ann"), "token.allow", contract="shop", amount=amount)


@pytest.mark.parametrize("seed", range(6))
def test_supply_is_the_sum_of_all_balances_whatever_happens_s3_116(chain: Chain, seed: int) -> None:
    """Seeded transfers, some beyond what their giver has: held against a count without the contract, each step."""
    chain.deploy()
    names = [f"ewz/m-{n}" for n in range(5)]
    senders: dict[str, Any] = {name: chain.member(name.removeprefix("ewz/")) for name in names}
    senders["ewz/ops"] = chain.org()
    shares = {name: 20 * n for n, name in enumerate(names) if n}
    for call in scenario.setup_calls(owner="ewz/ops", shares=shares):
        chain.call(senders[call.sender], f"token.{call.function}", **call.args)
    supply = sum(shares.values())
    drawn = scenario.transfers(seed=seed, members=names, most=60, count=40)
    refused = 0
    for index, transfer in enumerate(drawn, 1):
        call = scenario.transfer_call(transfer)
        raw = chain.sign_call(senders[call.sender], "token.transfer", **call.args)
        (outcome,) = chain.batch([raw])
        refused += outcome.code == "token.overdraft"
        assert outcome.code in {"accepted", "token.overdraft"}
        assert balances(chain) == scenario.expected(shares, drawn[:index])
        assert sum(balances(chain).values()) == chain.state("token", "token")["supply"] == supply
    assert 0 < refused < len(drawn)


def test_scenario_has_no_profiles() -> None:
    assert scenario.profiles() == ()
