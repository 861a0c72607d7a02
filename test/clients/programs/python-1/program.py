"""A client with `mcp` 1.x; the commands and events are those of ../README.md."""

from contextlib import asynccontextmanager

import mcp.types as types
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from wire import obey, tell


@asynccontextmanager
async def connect(actor, command):
    async def elicit(_context, _params):
        await actor.ask()
        return types.ElicitResult(action="accept", content={"colour": "blue"})

    async def received(message):
        if isinstance(message, types.ServerNotification):
            tell("notified", client=actor.name, method=message.root.method)

    async with streamable_http_client(command["url"]) as (read, write, _):
        async with ClientSession(read, write, elicitation_callback=elicit, message_handler=received) as session:
            greeting = await session.initialize()
            yield session, greeting.protocolVersion


obey(connect, lambda result: result.isError)
