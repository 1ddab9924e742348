"""The pages of the DAG: the drawing with frontier, tips and peers beside it, and the forks.

The server renders tables that say everything; a script adds the drawing from `/v1/dag` and keeps it live. Nothing is
shown that the REST API does not answer, through the same rows. Source: issue 5 items 5 and 8, requirement S1.16.
"""

from typing import Final

from fastapi import APIRouter, Request, Response

from drystone.api import rows
from drystone.api.dag_rows import fork_row, frontier_row, peer_row
from drystone.api.templates import HTML, render_page
from drystone.api.views.requests import Node

router = APIRouter(include_in_schema=False, default_response_class=HTML)

TIPS_SHOWN: Final = 50
AUTHORS_SHOWN: Final = 200


@router.get("/dag")
async def dag(request: Request, service: Node) -> Response:
    """The DAG as a drawing, who wrote last, what nothing stands on yet, and who is connected."""
    frontier = await service.frontier()
    tips = await service.tips()
    forks = await service.forks()
    peers = await service.peers()
    return render_page(
        request,
        "dag.html",
        frontier=[frontier_row(one) for one in frontier[:AUTHORS_SHOWN]],
        authors=len(frontier),
        waiting=sum(one.waiting for one in frontier),
        tips=[rows.vertex_row(one) for one in tips[:TIPS_SHOWN]],
        tip_count=len(tips),
        forks=[fork_row(one) for one in forks],
        peers=[peer_row(one) for one in peers],
    )


@router.get("/forks")
async def forks(request: Request, service: Node) -> Response:
    """Places at which an author signed two different things, and what became of it."""
    found = await service.forks()
    return render_page(request, "forks.html", forks=[fork_row(one) for one in found])
