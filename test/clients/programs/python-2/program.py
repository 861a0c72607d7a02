"""A client with `mcp` 2.x; the commands and events are those of ../README.md."""

from contextlib import asynccontextmanager

import mcp_types as types
from mcp import Client
from wire import obey, tell


@asynccontextmanager
async def connect(actor, command):
    async def elicit(_context, _params):
        await actor.ask()
        return types.ElicitResult(action="accept", content={"colour": "blue"})

    async def received(message):
        method = getattr(message, "method", "")
        if method.startswith("notifications/"):
            tell("notified", client=actor.name, method=method)

    mode = {"2025": "legacy"}.get(command.get("era"), "auto")
    async with Client(command["url"], mode=mode, elicitation_callback=elicit, message_handler=received) as session:
        yield session, session.protocol_version


obey(connect, lambda result: result.is_error)
