"""A site whose gateway holds a seeded DAG of several gateways: they part, write on alone and meet again."""

import sys
from pathlib import Path

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))

from api_world import make_world
from dag_stage import Told, make_dag, stage_dag
from site_under_test import Site

VERTICES = 10_000


class DagSite(Site):
    """See the module's docstring; `later` are vertices that have not come yet."""

    later: list[Told]

    async def _serve(self) -> None:
        world = await make_world(alone=True)
        told = make_dag(world.service.view.ledger, vertices=VERTICES + 40, authors=5, unordered=70)
        stage_dag(world.service, told[:VERTICES])
        self.later = told[VERTICES:]
        config = uvicorn.Config(world.app, log_level="warning", server_header=False, lifespan="off")
        self.server = uvicorn.Server(config)
        self.ready.set_result(world)
        await self.server.serve(sockets=[self.listener])
