"""Pages about contracts: what organisations agreed on, and what particular contracts keep.

`/contracts/NAME` is the same for every contract. The pages below it know how the metering, battery
and maintenance contracts write down what they keep; the ledger knows none of that. They show what
the REST API shows, through the same service. Source: issue 4 item 7, requirements S0.59 to S0.61.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from drystone.api import sheet_battery, sheet_maintenance, sheet_metering
from drystone.api.access import current_access
from drystone.api.contract_documents import contract_document, contract_row, read_package, value_row
from drystone.api.contract_sheet import contract_sheet, shapes_of
from drystone.api.lists import Listed, decode_cursor, encode_cursor
from drystone.api.service import Service
from drystone.api.templates import HTML, render_page
from drystone.api.values import ContractInfo, ContractValue
from drystone.api.views.contracts import VERSION_MAX, Name, find_contract, shown_version
from drystone.api.views.requests import Device, Iss, Node, Sub
from drystone.errors import NotFound, ReadDenied

router = APIRouter(include_in_schema=False, default_response_class=HTML)

CONTRACTS_PAGE: Final = 50
VALUES_SHOWN: Final = 12

OnlyVersion = Annotated[int | None, Query(alias="version", ge=1, le=VERSION_MAX)]
BillNumber = Annotated[int | None, Query(alias="number", ge=1, le=999_999)]


@router.get("/contracts")
async def contract_list(request: Request, service: Node, listed: Listed) -> Response:
    """Contracts by name."""
    after = None if listed.after is None else decode_cursor(listed.after, str)[0]
    found = await service.contracts(after=after, limit=CONTRACTS_PAGE)
    shapes: dict[str, list[tuple[str, str]]] = {}
    for one in found:
        shapes[one.name] = await _shapes(service, one)
    return render_page(
        request,
        "contracts.html",
        contracts=[contract_row(one) for one in found],
        shapes=shapes,
        first=after is None,
        following=encode_cursor(found[-1].name) if len(found) == CONTRACTS_PAGE else None,
    )


async def _shapes(service: Service, info: ContractInfo) -> list[tuple[str, str]]:
    if not info.version:
        return []
    running = await service.contract_version(info.name, version=info.version)
    if running is None or running.package is None:
        return []
    return shapes_of(await read_package(running.package), info.name)


@router.get("/contracts/{name}")
async def contract(
    request: Request, service: Node, name: Name, wanted: OnlyVersion = None
) -> Response:
    """One contract: text with line numbers, versions, approvals, calls and what they cost."""
    info = await find_contract(service, name)
    shown = await shown_version(service, info)
    if wanted is not None:
        shown = await service.contract_version(name, version=wanted)
        if shown is None:
            raise NotFound(f"no version {wanted} of {name!r}")
    package = None if shown is None else shown.package
    values: list[ContractValue] = []
    try:
        found = await service.provisional().contract_values(
            name, path="", after=None, limit=VALUES_SHOWN + 1
        )
        values = list(found)
    except ReadDenied:
        # Whoever may see the ledger need not see what a contract keeps.
        values = []
    return render_page(
        request,
        "contract.html",
        contract=contract_document(info),
        shown=shown,
        sheet=None if package is None else contract_sheet(await read_package(package)),
        shapes=await _shapes(service, info),
        values=[value_row(one) for one in values[:VALUES_SHOWN]],
        more=len(values) > VALUES_SHOWN,
    )


async def _now_ms(request: Request, service: Service) -> int:
    """The node's clock, and never before the last block: how old something is, is seen from now."""
    clock_ms = current_access(request).settings.now_s() * 1000
    return max((await service.head()).time_ms, clock_ms)


@router.get("/contracts/{name}/households")
async def household_list(request: Request, service: Node, name: Name) -> Response:
    """Households that a metering contract bills."""
    found = await sheet_metering.households(service, name)
    return render_page(request, "households.html", contract=name, households=found)


@router.get("/contracts/{name}/households/{iss}/{sub}")
async def household(
    request: Request, service: Node, name: Name, iss: Iss, sub: Sub, number: BillNumber = None
) -> Response:
    """A household's bill, its meters, and what people changed about them."""
    sheet = await sheet_metering.household_sheet(service, name, f"{iss}/{sub}", number)
    if sheet is None:
        raise NotFound(f"{name} has no household {iss}/{sub}")
    if number is not None and sheet.bill is None:
        raise NotFound(f"{iss}/{sub} has no bill {number}")
    return render_page(request, "household.html", contract=name, sheet=sheet)


@router.get("/contracts/{name}/packs")
async def pack_list(request: Request, service: Node, name: Name) -> Response:
    """Packs that a battery contract knows."""
    found = await sheet_battery.packs(service, name)
    return render_page(request, "packs.html", contract=name, packs=found)


@router.get("/contracts/{name}/packs/{sub}")
async def pack(request: Request, service: Node, name: Name, sub: Sub) -> Response:
    """A pack: its modules with the columns of the published table, cells, charge over time."""
    now_ms = await _now_ms(request, service)
    sheet = await sheet_battery.pack_sheet(service, name, sub, now_ms=now_ms)
    if sheet is None:
        raise NotFound(f"{name} has no pack {sub!r}")
    return render_page(request, "pack.html", contract=name, sheet=sheet)


@router.get("/contracts/{name}/machines")
async def machine_list(request: Request, service: Node, name: Name) -> Response:
    """Machines that a maintenance contract looks after."""
    found = await sheet_maintenance.machines(service, name)
    return render_page(request, "machines.html", contract=name, machines=found)


@router.get("/contracts/{name}/machines/{iss}/{sub}")
async def machine(
    request: Request, service: Node, name: Name, iss: Iss, sub: Sub, device: Device = None
) -> Response:
    """A machine: its counters, limits, requests and orders."""
    address = f"{iss}/{sub}" if device is None else f"{iss}/{sub}/{device}"
    now_ms = await _now_ms(request, service)
    sheet = await sheet_maintenance.machine_sheet(service, name, address, now_ms=now_ms)
    if sheet is None:
        raise NotFound(f"{name} knows no machine {address}")
    return render_page(request, "machine.html", contract=name, sheet=sheet)
