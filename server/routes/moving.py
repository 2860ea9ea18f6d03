"""Moving: bundles out and in, and what other systems recorded."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from memory.errors import BadInput
from memory.moving.bundle import FILES, MANIFEST
from memory.moving.importing import Reading
from memory.moving.intake import ImportReport
from memory.types import Outcome
from server.deps import CoreDep, Reader, Writer

router = APIRouter(prefix="/v1", tags=["moving"])

TAR = "application/x-tar"
Vouched = Annotated[
    bool, Query(description="An operator stands for it: it is trusted as if written by the operator.")
]


def _binary(media_type: str) -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"required": True, "content": content}}


@router.get("/bundle", summary="Export this namespace", response_class=FileResponse)
async def export_bundle(
    core: CoreDep,
    caller: Reader,
    vectors: Annotated[bool, Query(description="Without them they are made again at the import.")] = True,
) -> FileResponse:
    """A tar of a signed bundle: items, episodes, what episodes gave to items, vectors, manifest."""
    write = partial(core.memory.export, caller.namespace, vectors=vectors)
    return await bundle_of(write, f"{caller.namespace}.tar")


@router.post("/bundle", summary="Import a bundle", openapi_extra=_binary(TAR))
async def import_bundle(
    request: Request, core: CoreDep, caller: Writer, vouched: Vouched = False
) -> ImportReport:
    """What is there already stays; a line that is refused is named, the others go in; a repeat adds nothing.

    From an operator and signed by this server or a trusted key it is a restore; anything else is trusted no
    more than the caller's channel.
    """
    folder = Path(await asyncio.to_thread(mkdtemp, prefix="apprentice-bundle-"))
    try:
        with (folder / "bundle.tar").open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
        await asyncio.to_thread(_unpack, folder / "bundle.tar", folder / "bundle")
        return await asyncio.to_thread(
            core.memory.import_,
            caller.namespace,
            folder / "bundle",
            principal=caller.principal,
            channel=caller.channel,
            vouched=vouched,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@router.post("/imports", summary="Import another system's log", openapi_extra=_binary("application/jsonl"))
async def import_log(
    request: Request,
    core: CoreDep,
    caller: Writer,
    format: Annotated[
        Literal["openai", "agentgym", "swe-agent", "tau-bench", "knowagent", "letta", "langgraph", "voyager"],
        Query(description="How the file is written."),
    ],
    family: Annotated[str | None, Query(max_length=200, description="The only family it holds for.")] = None,
    outcome: Annotated[Outcome, Query(description="Of attempts the log says nothing about.")] = "unknown",
    vouched: Vouched = False,
) -> ImportReport:
    """Attempts become episodes, successes cases too; a bad record is named, the others go in.

    Trusted as external, unless an operator vouches. All of it can be revoked by the report's `source`.
    """
    return await asyncio.to_thread(
        core.memory.import_episodes,
        caller.namespace,
        await request.body(),
        Reading(format, family, outcome),
        principal=caller.principal,
        channel=caller.channel,
        vouched=vouched,
    )


async def bundle_of(write: Callable[[Path], Path], filename: str) -> FileResponse:
    """The bundle that `write` makes in the folder it is given, as a tar."""
    folder = Path(await asyncio.to_thread(mkdtemp, prefix="apprentice-bundle-"))
    try:
        bundle = await asyncio.to_thread(write, folder / "bundle")
        await asyncio.to_thread(_pack, bundle, folder / "bundle.tar")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        folder / "bundle.tar",
        media_type=TAR,
        filename=filename,
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def _pack(folder: Path, target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)


def _unpack(source: Path, folder: Path) -> None:
    """The files of a bundle; whatever else a tar may hold is left in it. Raises BadInput."""
    folder.mkdir()
    try:
        with tarfile.open(source, "r:") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None and member.name in {*FILES, MANIFEST}:
                    with (folder / member.name).open("wb") as file:
                        shutil.copyfileobj(content, file)
    except tarfile.TarError as error:
        raise BadInput(f"the body is no tar of a bundle: {error}") from error
