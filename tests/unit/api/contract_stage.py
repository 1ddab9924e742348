"""A contract that keeps a few values, for tests of what the API and the pages say about contracts."""

from api_desk import Desk

SOURCE = '''"""Keeps limits; refuses what is above them."""


def on_reading(ctx, old, record):
    """Take one reading."""
    value = record[0]["value"]
    limit = ctx["reads"]["limit"]
    if limit != None and value > limit:
        return "above"
    return ({"value": value}, [])


def set_limit(ctx, value):
    """Set the limit; every place keeps its own."""
    put("limit", value)
    for place in ["east", "west"]:
        put("place/" + place + "/limit", {"value": value, "by": ctx["sub"]})
    emit("limit", {"value": value})


def shown(ctx):
    """Return the limit."""
    return get("limit")
'''
MANIFEST: dict[str, object] = {
    "name": "limits",
    "version": 1,
    "reading": {"function": "on_reading", "reads": ["limit"], "limit": 2_000},
    "calls": {
        "set_limit": {"roles": ["governor"], "args": {"value": "int"}, "limit": 5_000},
        "shown": {"args": {}},
    },
    "exports": ["shown"],
}


def stage(desk: Desk) -> None:
    """Deploys the contract and calls it once; a second one waits for its deployment."""

    async def act() -> None:
        await desk.world.deploy(MANIFEST, SOURCE)
        # The version starts with the block after its deployment.
        await desk.world.service.submit(desk.world.reading("m-2"), wait="committed")
        await desk.world.call("set_limit", {"value": 7}, contract="limits")
        waiting = MANIFEST | {"name": "waiting"}
        await desk.world.call(
            "submit", {"manifest": waiting, "source": SOURCE}, contract="contracts"
        )

    desk.run(act())
