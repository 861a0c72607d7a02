"""A server with `mcp` 1.x on stdio, whose tool logs as most servers in Python do."""

from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("python")


@server.tool()
async def talk(context: Context) -> str:
    await context.info("one")
    await context.info("two")
    return "done"


server.run()
