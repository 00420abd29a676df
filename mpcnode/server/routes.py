"""The pages of the port: what an HTTP request without an upgrade gets."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mpcnode import __version__


def pages() -> Starlette:
    """Give the application that answers plain HTTP requests."""
    return Starlette(routes=[Route("/healthz", _healthz)])


async def _healthz(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "version": __version__})
