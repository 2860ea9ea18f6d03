"""The web app: its files, for anybody. What they show, the API gives to whoever has a key."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from memory.errors import NotFound

router = APIRouter(include_in_schema=False)
_FILES = StaticFiles(directory=Path(__file__).parent.parent / "web", check_dir=False)
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    # Asked for again each time, and answered with 304: a new release is seen at once.
    "Cache-Control": "no-cache",
}


@router.get("/")
async def page(request: Request) -> Response:
    """The one page; which part of it is shown stands behind `#`."""
    return await file("index.html", request)


@router.get("/web/{path:path}")
async def file(path: str, request: Request) -> Response:
    """One of its files. Raises NotFound."""
    try:
        response = await _FILES.get_response(path, request.scope)
    except HTTPException as error:
        raise NotFound(f"there is no page {path!r}") from error
    response.headers.update(_HEADERS)
    return response
