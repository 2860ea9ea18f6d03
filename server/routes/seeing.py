"""Distillations to look at: a report for a browser, rows with their weights."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from memory.errors import Conflict
from memory.types import Json
from server.deps import CoreDep, Reader, ServicesDep
from server.distilling import DISTILL
from server.jobs import JobAddress
from server.schemas.distill import RowsOut
from server.services import Core, Services

router = APIRouter(prefix="/v1/distillations", tags=["distillations"])
_POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""Rows hold words of strangers: whatever they say, a page with them runs nothing and asks nobody."""


@router.get("/{distillation_id}/report", summary="A report for a browser", response_class=HTMLResponse)
async def report(
    distillation_id: str,
    services: ServicesDep,
    core: CoreDep,
    caller: Reader,
    rows: Annotated[int, Query(ge=0, le=1000, description="Rows that are shown.")] = 12,
) -> HTMLResponse:
    """Verdict, arms with intervals, what was masked and left out, loss, cost, and rows in colour."""
    folder = await _folder(distillation_id, services, core, caller.namespace)

    def made() -> str:
        from distill.seeing.job import read_job_folder
        from distill.seeing.page import page

        return page(read_job_folder(folder), shown=rows)

    return HTMLResponse(await asyncio.to_thread(made), headers=_POLICY)


@router.get("/{distillation_id}/rows", summary="Rows of its dataset")
async def rows(
    distillation_id: str,
    services: ServicesDep,
    core: CoreDep,
    caller: Reader,
    start: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> RowsOut:
    """Lines of `messages.jsonl`: messages with a weight each, and where they are from."""
    folder = await _folder(distillation_id, services, core, caller.namespace)

    def read() -> list[str]:
        from distill.dataset import read_lines

        if not (folder / "dataset").is_dir():
            raise Conflict(f"distillation {distillation_id!r} has no dataset, or none yet")
        return list(read_lines(folder / "dataset"))

    lines = await asyncio.to_thread(read)
    data: list[dict[str, Json]] = [json.loads(line) for line in lines[start : start + limit]]
    return RowsOut(data=data, total=len(lines))


async def _folder(distillation_id: str, services: Services, core: Core, namespace: str) -> Path:
    """Where its files are. Raises NotFound, also for another namespace's."""
    job = await core.jobs.get(JobAddress(namespace, DISTILL, distillation_id))
    return services.settings.distillations_dir / job.address.id
