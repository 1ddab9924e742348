"""Read policies: what a rule may say, what follows from it for whom, and that nothing follows from nothing."""

from typing import Any

import pytest

from drystone.errors import ArgumentsMalformed
from drystone.formats import cbor
from drystone.ledger import keyspace, rows
from drystone.ledger.change import Outcome
from drystone.ledger.read_rights import (
    NOTHING,
    Asker,
    Named,
    ReadRights,
    fits,
    read_rights,
    scoped_rights,
)
from drystone.limits import READ_OWN_MAX, READ_RULES_MAX
from drystone.sim.world import Actor, World

RULE = {"who": "role:auditor", "what": "streams", "of": "*"}
HOUSE = Asker("ewz", "house-7", ("consumer",))
AUDITOR = Asker("ewz", "anna", ("auditor",))
STRANGER = Asker("wwz", "eve", ("auditor", "consumer"))
OPERATOR = Asker("ewz", "ops", ("enroller", "governor"))


def lay_down(world: World, args: dict[str, Any], actor: Actor | None = None) -> Outcome:
    raw = world.call(actor or world.operator, "registry", "policy", args)
    (outcome,) = [one for one in world.step([raw]).outcomes if one.record is not None]
    return outcome


class Places:
    """A state that holds only what a test put there."""

    def __init__(self, *policies: tuple[str, rows.Policy], **values: Any) -> None:
        self.values = {keyspace.policy(iss): policy.encode() for iss, policy in policies}
        for path, value in values.items():
            contract, _, below = path.partition("/")
            self.values[keyspace.contract_data(contract, below)] = cbor.encode(value)

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)


def policy(*rules: tuple[str, str, str], own: str | None = None) -> rows.Policy:
    return rows.Policy(tuple(rows.ReadRule(*rule) for rule in rules), own)


def rights_of(asker: Asker | None, *rules: tuple[str, str, str], **more: Any) -> ReadRights:
    own = more.pop("own", None)
    return read_rights(Places(("ewz", policy(*rules, own=own)), **more), ["ewz", "wwz"], asker)


class TestLayingDown:
    def test_rules_stand_in_the_state_and_are_said(self, world: World) -> None:
        args = {"rules": [RULE], "own": "metering/household"}
        outcome = lay_down(world, args)
        assert outcome.code == "accepted"
        assert [(one.contract, one.name) for one in outcome.events] == [("registry", "policy")]
        value = world.view.get(keyspace.policy("ewz"))
        assert value is not None
        kept = rows.decode_policy(value)
        assert kept == policy(("role:auditor", "streams", "*"), own="metering/household")
        assert kept.encode() == value

    def test_later_rules_replace_those_before(self, world: World) -> None:
        lay_down(world, {"rules": [RULE]})
        assert lay_down(world, {"rules": []}).code == "accepted"
        value = world.view.get(keyspace.policy("ewz"))
        assert value is not None
        assert rows.decode_policy(value) == policy()

    def test_organisation_lays_down_its_own_rules_only(self) -> None:
        world = World.begin(organisations=("ewz", "wwz"))
        other = world.actors["wwz/ops"]
        assert lay_down(world, {"rules": [RULE]}, other).code == "accepted"
        assert world.view.get(keyspace.policy("ewz")) is None
        assert world.view.get(keyspace.policy("wwz")) is not None

    def test_member_without_the_governors_role_lays_down_nothing(self, world: World) -> None:
        (meter,) = world.enrolled("m-1")
        assert lay_down(world, {"rules": [RULE]}, meter).code == "role-missing"
        assert lay_down(world, {"rules": [RULE]}, world.author.actor).code == "role-missing"
        assert world.view.get(keyspace.policy("ewz")) is None

    @pytest.mark.parametrize(
        "who",
        [
            *("anyone", "members", "role:auditor", "role:wwz/auditor"),
            *("organisation:wwz", "member:wwz/eve"),
        ],
    )
    def test_everybody_a_rule_can_mean_is_taken(self, world: World, who: str) -> None:
        assert lay_down(world, {"rules": [RULE | {"who": who}]}).code == "accepted"

    @pytest.mark.parametrize(
        ("what", "of"),
        [
            *(("streams", "*"), ("receipts", "m-*"), ("members", "gw-1/*"), ("streams", "m-1")),
            *(("streams", "profile:meter"), ("receipts", "{own}"), ("ledger", "*")),
            *(("states", "metering"), ("states", "metering/bill/{me}")),
            *(("states", "metering/device/{own}"), ("states", "x/*/limit"), ("states", "x/a b")),
        ],
    )
    def test_everything_a_rule_can_be_about_is_taken(
        self, world: World, what: str, of: str
    ) -> None:
        rule = {"who": "role:auditor", "what": what, "of": of}
        assert lay_down(world, {"rules": [rule], "own": "x/y"}).code == "accepted"

    @pytest.mark.parametrize(
        "bent",
        [
            *({"who": ""}, {"who": "everyone"}, {"who": "role:"}, {"who": "role:Auditor"}),
            *({"who": "role:a/b/c"}, {"who": "organisation:"}, {"who": "organisation:a/b"}),
            *({"who": "member:ewz"}, {"who": "member:ewz/a/b"}, {"who": "members:x"}),
            *({"who": "role:auditor\n"}, {"who": "anyone "}, {"who": 5}, {"what": "everything"}),
            *({"what": ""}, {"of": ""}, {"of": "a/b/c"}, {"of": "a b"}, {"of": "{me}"}),
            *({"of": "profile:"}, {"of": "profile:*"}, {"of": "x" * 49}, {"of": "m-1\n"}),
            *({"of": "profile:meter\n"}, {"what": "ledger", "of": "m-1"}, {"more": 1}),
            *({"what": "states", "of": "*"}, {"what": "states", "of": "Metering"}),
            *({"what": "states", "of": "metering/"}, {"what": "states", "of": "m//x"}),
            *({"what": "states", "of": "m/a*"}, {"what": "states", "of": "m/{you}"}),
            *({"what": "states", "of": "m/" + "x" * 65}, {"of": "{own}"}),
            {"what": "states", "of": "m/\x1f"},
            {"who": "anyone", "what": "ledger"},
            {"who": "anyone", "what": "states", "of": "m/{me}"},
        ],
        ids=str,
    )
    def test_rule_that_means_nothing_is_refused(
        self, world: World, bent: dict[str, object]
    ) -> None:
        outcome = lay_down(world, {"rules": [RULE, RULE | bent]})
        assert outcome.code == "arguments-malformed"
        assert world.view.get(keyspace.policy("ewz")) is None

    @pytest.mark.parametrize(
        "args",
        [
            *({}, {"rules": "x"}, {"rules": [5]}, {"rules": [[]]}, {"rules": {}}),
            {"rules": [RULE], "more": 1},
            {"rules": [RULE] * (READ_RULES_MAX + 1)},
            *({"rules": [], "own": own} for own in ("", "metering", "m/", "/h", "m/{me}", 5)),
            {"rules": [{"who": "anyone", "what": "streams", "of": "{own}"}], "own": "m/h"},
        ],
        ids=lambda args: str(args)[:40],
    )
    def test_arguments_of_another_shape_are_refused(
        self, world: World, args: dict[str, Any]
    ) -> None:
        assert lay_down(world, args).code == "arguments-malformed"

    def test_as_many_rules_as_allowed_fit(self, world: World) -> None:
        assert lay_down(world, {"rules": [RULE] * READ_RULES_MAX}).code == "accepted"

    def test_policy_is_no_organisation(self, world: World) -> None:
        lay_down(world, {"rules": [RULE]})
        assert world.view.get(keyspace.organisation("ewz")) is not None
        assert keyspace.policy("ewz") != keyspace.organisation("ewz")
        assert keyspace.policy("ewz").startswith(keyspace.organisation("ewz"))


class TestWithoutRules:
    def test_nobody_known_may_read_nothing_s2_6(self) -> None:
        assert rights_of(None) == NOTHING
        assert rights_of(None).is_nothing()

    def test_member_sees_itself_and_nothing_else_s2_5(self) -> None:
        rights = rights_of(HOUSE)
        for named in (rights.streams, rights.receipts, rights.members):
            assert named.allows(("ewz", "house-7"))
            for other in (("ewz", "house-8"), ("wwz", "house-7"), ("ewz", "house-7", "x")):
                assert not named.allows(other)
        assert not rights.ledger
        assert rights.allows_value("wwz", "metering", ["device", "ewz", "house-7"])
        assert not rights.allows_value("ewz", "metering", ["device", "ewz", "house-8"])
        assert not rights.allows_value("ewz", "metering", ["bill", "ewz", "house-7"])
        assert not rights.allows_value("ewz", "metering", [])

    @pytest.mark.parametrize("role", ["governor", "enroller"])
    def test_who_speaks_for_an_organisation_sees_all_that_is_its_own_s2_12(self, role: str) -> None:
        rights = rights_of(Asker("ewz", "ops", (role,)))
        for named in (rights.streams, rights.receipts, rights.members):
            assert named.allows(("ewz", "m-1"))
            assert named.allows(("ewz", "gw-1", "thermo-1"))
            assert not named.allows(("wwz", "m-1"))
        assert rights.ledger
        assert rights.allows_value("ewz", "metering", ["areas"])
        assert not rights.allows_value("wwz", "metering", ["areas"])

    @pytest.mark.parametrize("role", ["device", "validator", "consumer", "auditor", "gateway"])
    def test_any_other_role_does_not_speak_for_it(self, role: str) -> None:
        rights = rights_of(Asker("ewz", "someone", (role,)))
        assert not rights.streams.allows(("ewz", "m-1"))
        assert not rights.ledger

    def test_gateway_sees_the_devices_it_speaks_for(self) -> None:
        rights = rights_of(Asker("ewz", "gw-1", ("gateway",)))
        assert rights.streams.allows(("ewz", "gw-1", "thermo-1"))
        assert not rights.streams.allows(("ewz", "gw-2", "thermo-1"))
        assert not rights.streams.allows(("ewz", "gw-10"))


class TestWho:
    @pytest.mark.parametrize(
        ("who", "asker", "meant"),
        [
            ("anyone", None, True),
            ("anyone", STRANGER, True),
            ("members", None, False),
            ("members", STRANGER, True),
            ("role:auditor", AUDITOR, True),
            ("role:auditor", HOUSE, False),
            # The same word in another organisation: it gave the role, not this one.
            ("role:auditor", STRANGER, False),
            ("role:wwz/auditor", STRANGER, True),
            ("role:wwz/auditor", AUDITOR, False),
            ("organisation:wwz", STRANGER, True),
            ("organisation:wwz", AUDITOR, False),
            ("member:wwz/eve", STRANGER, True),
            ("member:wwz/ev", STRANGER, False),
            ("member:ewz/eve", STRANGER, False),
            ("role:auditor", None, False),
            ("member:wwz/eve", None, False),
        ],
    )
    def test_rule_means_exactly_whom_it_names(
        self, who: str, asker: Asker | None, *, meant: bool
    ) -> None:
        rights = rights_of(asker, (who, "streams", "m-*"))
        assert rights.streams.allows(("ewz", "m-1")) is meant
        assert not rights.receipts.allows(("ewz", "m-1"))


class TestWhat:
    @pytest.mark.parametrize("what", ["streams", "receipts", "members"])
    def test_each_kind_is_granted_by_itself(self, what: str) -> None:
        rights = rights_of(AUDITOR, ("role:auditor", what, "*"))
        seen = {
            kind
            for kind in ("streams", "receipts", "members")
            if getattr(rights, kind).allows(("ewz", "m-1"))
        }
        assert seen == {what}
        assert not rights.allows_value("ewz", "metering", ["x"])

    def test_profile_grants_its_devices(self) -> None:
        rights = rights_of(AUDITOR, ("role:auditor", "streams", "profile:meter"))
        assert rights.streams.allows(("ewz", "m-1"), "meter")
        for profile in ("climate", None):
            assert not rights.streams.allows(("ewz", "m-1"), profile)
        assert not rights.streams.allows(("wwz", "m-1"), "meter")

    def test_ledger_is_granted_to_the_organisations_own_members_only(self) -> None:
        assert rights_of(AUDITOR, ("members", "ledger", "*")).ledger
        assert not rights_of(STRANGER, ("members", "ledger", "*")).ledger
        assert not rights_of(STRANGER, ("organisation:wwz", "ledger", "*")).ledger

    def test_values_are_granted_below_a_path_part_by_part(self) -> None:
        rights = rights_of(AUDITOR, ("role:auditor", "states", "metering/payout"))
        assert rights.allows_value("ewz", "metering", ["payout"])
        assert rights.allows_value("ewz", "metering", ["payout", "ewz"])
        for parts in ([], ["payou"], ["payouts"], ["bill", "payout"]):
            assert not rights.allows_value("ewz", "metering", parts)
        assert not rights.allows_value("ewz", "battery", ["payout"])

    def test_contract_of_another_organisation_is_not_ones_own_to_show(self) -> None:
        rights = rights_of(AUDITOR, ("role:auditor", "states", "metering"))
        assert rights.allows_value("ewz", "metering", ["areas"])
        assert not rights.allows_value("wwz", "metering", ["areas"])

    def test_star_is_one_part_of_a_path(self) -> None:
        rights = rights_of(AUDITOR, ("role:auditor", "states", "limits/place/*/limit"))
        assert rights.allows_value("ewz", "limits", ["place", "east", "limit"])
        assert not rights.allows_value("ewz", "limits", ["place", "east"])
        assert not rights.allows_value("ewz", "limits", ["place", "east", "owner"])


HOUSEHOLD = {"meters": ["ewz/m-1", "ewz/gw-1/heat-1"], "bills": 2, "total": 7}
OWN_RULES = (
    ("role:consumer", "streams", "{own}"),
    ("role:consumer", "receipts", "{own}"),
    ("role:consumer", "states", "metering/bill/{me}"),
    ("role:consumer", "states", "metering/device/{own}"),
)


class TestOwn:
    def rights(self, asker: Asker = HOUSE, value: object = HOUSEHOLD) -> ReadRights:
        places = {"metering/household/ewz/house-7": value}
        return rights_of(asker, *OWN_RULES, own="metering/household", **places)

    def test_household_sees_its_meters_bills_and_nothing_else_s2_5(self) -> None:
        rights = self.rights()
        assert rights.streams.allows(("ewz", "m-1"))
        assert rights.streams.allows(("ewz", "gw-1", "heat-1"))
        assert rights.receipts.allows(("ewz", "m-1"))
        assert rights.allows_value("ewz", "metering", ["bill", "ewz", "house-7", "0001"])
        assert rights.allows_value("ewz", "metering", ["device", "ewz", "m-1"])
        for name in (("ewz", "m-2"), ("ewz", "gw-1"), ("ewz", "gw-1", "heat-2")):
            assert not rights.streams.allows(name)
        for parts in (
            ["bill", "ewz", "house-8", "0001"],
            ["bill", "ewz"],
            ["device", "ewz", "m-2"],
            ["areas"],
        ):
            assert not rights.allows_value("ewz", "metering", parts)
        assert not rights.ledger

    def test_household_without_meters_sees_none(self) -> None:
        other = HOUSE._replace(sub="house-8")
        rights = self.rights(other)
        assert not rights.streams.allows(("ewz", "m-1"))
        assert not rights.allows_value("ewz", "metering", ["device", "ewz", "m-1"])
        assert rights.allows_value("ewz", "metering", ["bill", "ewz", "house-8", "0001"])

    def test_contract_cannot_hand_out_another_organisations_devices(self) -> None:
        rights = self.rights(value={"meters": ["wwz/m-1", "ewz/m-1", "ewz", "wwz/ewz/m-1"]})
        assert rights.streams.names == {"ewz/house-7", "ewz/m-1"}

    @pytest.mark.parametrize(
        "value", ["ewz/m-1", 5, {"meters": "ewz/m-1"}, {"meters": [5, []]}, []]
    )
    def test_value_of_another_shape_names_nothing(self, value: object) -> None:
        assert self.rights(value=value).streams.names == {"ewz/house-7"}

    def test_plain_list_names_devices_too(self) -> None:
        assert self.rights(value=["ewz/m-9"]).streams.allows(("ewz", "m-9"))

    def test_more_devices_than_the_bound_are_cut_off(self) -> None:
        many = [f"ewz/m-{number}" for number in range(READ_OWN_MAX + 10)]
        rights = self.rights(value={"meters": many})
        assert len(rights.streams.names) == READ_OWN_MAX + 1
        assert not rights.streams.allows(("ewz", f"m-{READ_OWN_MAX}"))

    def test_organisation_that_says_nothing_of_own_devices_shows_none(self) -> None:
        rights = rights_of(HOUSE, ("role:consumer", "states", "metering/bill/{me}"))
        assert rights.streams.names == {"ewz/house-7"}


class TestScopes:
    @pytest.mark.parametrize(
        ("scope", "name", "profile"),
        [
            ("streams:ewz/*", ("ewz", "m-1"), None),
            ("streams:ewz/m-*", ("ewz", "m-1"), None),
            ("streams:ewz/gw-1/*", ("ewz", "gw-1", "x"), None),
            ("streams:ewz/profile:meter", ("ewz", "m-1"), "meter"),
        ],
    )
    def test_scope_shows_what_it_names(
        self, scope: str, name: tuple[str, ...], profile: str | None
    ) -> None:
        rights = scoped_rights(scope)
        assert rights.streams.allows(name, profile)
        assert not rights.streams.allows(("wwz", *name[1:]), profile)
        assert not rights.receipts.allows(name, profile)
        assert not rights.ledger

    def test_scope_of_values_and_of_the_ledger(self) -> None:
        rights = scoped_rights("states:metering/payout")
        assert rights.allows_value("whoever", "metering", ["payout", "ewz"])
        assert not rights.allows_value("whoever", "metering", ["bill"])
        assert scoped_rights("ledger") == ReadRights(ledger=True)

    @pytest.mark.parametrize(
        "scope",
        [
            *("", "all of it", "streams", "streams:", "streams:ewz", "streams:ewz/", "x:ewz/*"),
            *("streams:/m-1", "streams:ewz/{own}", "states:", "states:*", "states:m/{me}"),
            *("states:m/{own}", "ledger:*", "ledger:ewz/*", "streams:-x/*", "streams:ewz/a/b/c"),
        ],
    )
    def test_what_is_no_scope_is_refused(self, scope: str) -> None:
        with pytest.raises(ArgumentsMalformed):
            scoped_rights(scope)

    def test_rights_join_and_only_add(self) -> None:
        one, two = scoped_rights("streams:ewz/m-1"), scoped_rights("streams:wwz/*")
        both = one.joined(two)
        assert both.streams.allows(("ewz", "m-1"))
        assert both.streams.allows(("wwz", "anything"))
        assert not both.streams.allows(("ewz", "m-2"))
        assert both.joined(NOTHING) == both
        assert not both.is_nothing()

    def test_touching_an_organisation_is_having_anything_of_it(self) -> None:
        for scope in ("streams:ewz/m-1", "receipts:ewz/*", "members:ewz/profile:meter"):
            assert scoped_rights(scope).touches("ewz")
            assert not scoped_rights(scope).touches("ew")
        assert ReadRights(streams=Named(names=frozenset({"ewz/m-1"}))).touches("ewz")
        assert not NOTHING.touches("ewz")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "gw-1/thermo", True),
        ("m-*", "m-1", True),
        ("m-*", "m-", True),
        ("m-*", "m-1/x", False),
        ("m-*", "xm-1", False),
        ("m-1", "m-10", False),
        ("m.1", "m-1", False),
        ("*-1", "gw-1", True),
        ("gw-*/t*", "gw-1/thermo", True),
        ("gw-*/t*", "gw-1", False),
        ("*/*", "gw-1/thermo", True),
        ("m-1", "m-1\n", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "axbxc", True),
        ("a*b*c", "acb", False),
        ("a*b*b", "ab", False),
        ("**", "m-1", True),
        ("*a" * 20 + "b", "a" * 48, False),
    ],
)
def test_pattern_fits_whole_names(pattern: str, name: str, *, expected: bool) -> None:
    assert fits(pattern, name) is expected
