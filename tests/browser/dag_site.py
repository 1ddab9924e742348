"""A site whose gateway holds a seeded DAG of several gateways: they part, write on alone and meet again."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))

from api_world import make_world
from dag_stage import Told, make_dag, stage_dag
from site_under_test import Site

from drystone.api.dag_values import DagVertex, ForkInfo, PeerInfo

VERTICES = 10_000


def peer(sub: str, **more: Any) -> PeerInfo:
    """A peer as an operator would see it."""
    shown: dict[str, Any] = {
        "iss": "ewz", "sub": sub, "role": "gateway", "connected": True, "uplink": False,
        "behind": 0, "height": 1_204, "degraded": None, "degraded_ms": 0, "faults": {},
        "messages_in": 12, "messages_out": 14, "bytes_in": 48_211, "bytes_out": 1_238_890,
    }  # fmt: skip
    return PeerInfo(**{**shown, **more})


def fork_of(rows: Sequence[DagVertex]) -> ForkInfo:
    """The fork that the first two forked vertices are."""
    first = rows[0]
    a, b = sorted(row.id for row in rows[:2])
    return ForkInfo(
        iss=first.iss, sub=first.sub, kind="vertex", epoch=first.epoch, seq=first.seq, ids=(a, b),
        held=True, convicted=True, epoch_min=1,
    )  # fmt: skip


class DagSite(Site):
    """See the module's docstring; `later` are vertices that have not come yet."""

    later: list[Told]

    async def _serve(self) -> None:
        world = await make_world(alone=True)
        told = make_dag(world.service.view.ledger, vertices=VERTICES + 40, authors=5, unordered=70)
        stage_dag(world.service, told[:VERTICES])
        self.later = told[VERTICES:]
        world.service.peer_infos = [peer("gate-1"), peer("node-1", uplink=True, behind=2)]
        bad = {"body-mismatch": 3, "range-absent": 1}
        world.service.peer_infos.append(peer("gate-3", degraded="body-mismatch", faults=bad))
        forked = [
            row for row in world.service.window.changed(after=0, limit=VERTICES) if row.forked
        ]
        world.service.fork_infos = [fork_of(forked)]
        config = uvicorn.Config(world.app, log_level="warning", server_header=False, lifespan="off")
        self.server = uvicorn.Server(config)
        self.ready.set_result(world)
        await self.server.serve(sockets=[self.listener])
