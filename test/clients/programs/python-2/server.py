"""A server with `mcp` 2.x on stdio, whose tool logs as most servers in Python do."""

from mcp.server import MCPServer
from mcp.server.mcpserver import Context

server = MCPServer("python")


@server.tool()
async def talk(context: Context) -> str:
    await context.info("one")
    await context.info("two")
    return "done"


server.run()
