"""The contract under which line b also runs: keeps the highest register and a count per device."""

from typing import Any

SOURCE = """
def on_reading(ctx, old, record):
    value = record[0]["value"]
    count = 1
    if old != None:
        count = old["count"] + 1
        if value < old["value"]:
            value = old["value"]
    return ({"value": value, "count": count}, [])
"""
MANIFEST: dict[str, Any] = {
    "name": "meter",
    "version": 1,
    "reading": {"function": "on_reading", "reads": [], "limit": 2000},
    "calls": {},
}
