"""Pages over http, on this machine only: every view has an address, and the same as JSON.

What policies wrote is shown to whoever has the address, so a request names this machine (another
site cannot), pages load and run nothing, and a query reads the tables alone.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.running.pages import PortTaken
from flows.running.pages_handler import HEADERS, is_loopback
from reading import pages, plot
from reading.database import Database
from reading.errors import NotThere
from reading.page import fill

HOST = "127.0.0.1"
POLICY = HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'")


class Guard:
    """Answers only what names this machine, with headers that let no page do anything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "Content-Security-Policy": POLICY}.items():
                    headers[name] = value
            await send(message)

        is_here = is_loopback(Headers(scope=scope).getlist("host"))
        misdirected = PlainTextResponse("this server is of one machine", status_code=421)
        await (self.app if is_here else misdirected)(scope, receive, with_headers)


def application(database: Database) -> Starlette:
    """The pages, and under `/api` the same as JSON."""
    routes = []
    for path, content in pages.PAGES.items():
        routes += [
            Route(path, _answering(database, content, is_page=True)),
            Route(f"/api{path}", _answering(database, content, is_page=False)),
        ]
    app = Starlette(routes=routes)
    app.add_middleware(Guard)
    return app


def serve(database: Database, port: int, tell: Callable[[str], None]) -> None:
    """Serve until interrupted; `tell` is called with the address once it answers.

    Raises:
        PortTaken: `port` is not free.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError:
        raise PortTaken(f"port {port} of {HOST} is taken; choose another") from None
    with listening:
        threading.Thread(target=plot.warm_up, daemon=True).start()
        settings = uvicorn.Config(
            application(database), log_level="error", server_header=False, lifespan="off"
        )
        tell(f"http://{HOST}:{listening.getsockname()[1]}")
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended in order
            uvicorn.Server(settings).run(sockets=[listening])


def _answering(
    database: Database, content: pages.Content, is_page: bool
) -> Callable[[Request], Any]:
    """What answers a request: the content as a page or as JSON, an error in the same form."""

    def answer(arguments: Mapping[str, str]) -> Response:
        try:
            template, values = content(database, arguments)
            status = 200
        except (NotThere, ValueError) as error:
            template, values, status = "error.html.j2", {"message": str(error)}, 404
        if is_page:
            return HTMLResponse(fill(template, sources=[*database.sources], **values), status)
        body = json.dumps(_named(values), default=_as_json)
        return Response(body, status, media_type="application/json")

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request.query_params)

    return endpoint


def _named(value: Any) -> Any:
    """The value with records by the names of their fields, which JSON would leave out."""
    if hasattr(value, "_asdict"):
        return _named(value._asdict())
    if isinstance(value, Mapping):
        return {key: _named(each) for key, each in value.items()}
    return [_named(each) for each in value] if isinstance(value, list | tuple) else value


def _as_json(value: Any) -> Any:
    return vars(value) if hasattr(value, "__dict__") else str(value)
