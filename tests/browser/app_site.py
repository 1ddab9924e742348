"""A site whose ledger runs the metering, battery and maintenance contracts."""

import sys
from pathlib import Path

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "api"))

from api_world import make_world
from app_stage import stage_battery, stage_maintenance, stage_metering
from site_under_test import Site


class AppSite(Site):
    """See the module's docstring."""

    async def _serve(self) -> None:
        world = await make_world(alone=True)
        await stage_metering(world)
        await stage_battery(world)
        await stage_maintenance(world)
        config = uvicorn.Config(world.app, log_level="warning", server_header=False, lifespan="off")
        self.server = uvicorn.Server(config)
        self.ready.set_result(world)
        await self.server.serve(sockets=[self.listener])
