"""What the Python programs share; the commands and events are those of ../README.md."""

import asyncio
import json
import os
import sys


def tell(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def said(error):
    """Errors of a task group are named one by one."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(said(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"


class Actor:
    """One connection. Its commands arrive in order; its calls run side by side."""

    def __init__(self, name):
        self.name = name
        self.commands = asyncio.Queue()
        self.questions = asyncio.Queue()

    async def ask(self):
        """Reports a question of the server and waits for the command that answers it."""
        answered = asyncio.get_running_loop().create_future()
        self.questions.put_nowait(answered)
        tell("asked", client=self.name)
        await answered

    async def call(self, session, is_error, command):
        call = command["call"]
        try:
            result = await session.call_tool(command["tool"], command.get("args", {}))
            text = " ".join(getattr(block, "text", block.type) for block in result.content)
            more = {"text": text[:200], "length": len(text), "isError": bool(is_error(result))}
            tell("answered", client=self.name, call=call, **more)
        except BaseException as error:
            tell("failed", client=self.name, call=call, error=said(error))
            if isinstance(error, asyncio.CancelledError):
                raise

    async def live(self, connect, is_error, command):
        connected = False
        try:
            async with connect(self, command) as (session, version):
                connected = True
                tell("connected", client=self.name, version=version)
                # The calls are children of the connection, as in a program of an ordinary user.
                async with asyncio.TaskGroup() as calls:
                    while (command := await self.commands.get())["do"] != "close":
                        calls.create_task(self.call(session, is_error, command))
        except BaseException as error:
            tell("dead" if connected else "refused", client=self.name, error=said(error))
        else:
            tell("closed", client=self.name)


def obey(connect, is_error):
    """
    Runs commands until stdin ends. `connect(actor, command)` is an async context manager of a session and its version.
    """
    asyncio.run(_obey(connect, is_error))


async def _obey(connect, is_error):
    actors = {}
    living = set()
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        name = command["client"]
        if command["do"] == "connect":
            actors[name] = Actor(name)
            life = asyncio.create_task(actors[name].live(connect, is_error, command))
            living.add(life)
            life.add_done_callback(living.discard)
        elif command["do"] == "answer":
            (await actors[name].questions.get()).set_result(None)
        else:
            actors[name].commands.put_nowait(command)
    # Open connections end with the process: nothing is tidied up.
    os._exit(0)
