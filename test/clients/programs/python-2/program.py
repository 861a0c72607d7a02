"""A client with `mcp` 2.x; the commands and events are those of ../README.md."""

import asyncio
import json
import os
import sys

import mcp_types as types
from mcp import Client as McpClient


def tell(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def said(error):
    """Errors of a task group are named one by one."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(said(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"


class Client:
    def __init__(self, name):
        self.name = name
        self.commands = asyncio.Queue()
        self.questions = asyncio.Queue()
        self.calls = {}

    async def elicit(self, _context, _params):
        answered = asyncio.get_running_loop().create_future()
        self.questions.put_nowait(answered)
        tell("asked", client=self.name)
        await answered
        return types.ElicitResult(action="accept", content={"colour": "blue"})

    async def received(self, message):
        method = getattr(message, "method", "")
        if method.startswith("notifications/"):
            tell("notified", client=self.name, method=method)

    async def call(self, session, call, tool, args):
        try:
            result = await session.call_tool(tool, args)
            text = " ".join(getattr(block, "text", block.type) for block in result.content)
            tell("answered", client=self.name, call=call, text=text[:200], isError=bool(result.is_error))
        except BaseException as error:
            tell("failed", client=self.name, call=call, error=said(error))
            if isinstance(error, asyncio.CancelledError):
                raise

    async def live(self, command):
        connected = False
        try:
            mode = {"2025": "legacy"}.get(command.get("era"), "auto")
            async with McpClient(
                command["url"], mode=mode, elicitation_callback=self.elicit, message_handler=self.received
            ) as session:
                connected = True
                tell("connected", client=self.name, version=session.protocol_version)
                # The calls are children of the connection, as in a program of an ordinary user.
                async with asyncio.TaskGroup() as calls:
                    while (command := await self.commands.get())["do"] != "close":
                        calls.create_task(
                            self.call(session, command["call"], command["tool"], command.get("args", {}))
                        )
        except BaseException as error:
            tell("dead" if connected else "refused", client=self.name, error=said(error))
        else:
            tell("closed", client=self.name)


async def main():
    clients = {}
    living = set()
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        name = command["client"]
        if command["do"] == "connect":
            clients[name] = Client(name)
            life = asyncio.create_task(clients[name].live(command))
            living.add(life)
            life.add_done_callback(living.discard)
        elif command["do"] == "answer":
            (await clients[name].questions.get()).set_result(None)
        else:
            clients[name].commands.put_nowait(command)
    # Open connections end with the process: nothing is tidied up.
    os._exit(0)


asyncio.run(main())
