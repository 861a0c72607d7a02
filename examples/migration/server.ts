/**
 * Sessions that move between processes that share nothing but a folder. Start two, connect to one, stop it, and
 * continue at the other with the same session id:
 *
 *     SESSIONS=./sessions PORT=3001 npx tsx server.ts
 *     SESSIONS=./sessions PORT=3002 npx tsx server.ts
 *
 * The handshake moves: the client's name and capabilities. `session.state`, subscriptions and streams do not.
 * `IDLE_MS` sets the idle timeout.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint, currentSession } from 'sojourn';
import { fileSessions } from './file-sessions.ts';

const whoami = { description: 'Says whose session this is, and which process serves it' };
const sayWho = () => {
  const { id, clientInfo } = currentSession() ?? {};
  const text = `${clientInfo?.name} in session ${id}, served by process ${process.pid}`;
  return { content: [{ type: 'text' as const, text }] };
};

const endpoint = createMcpEndpoint(
  (ctx) => {
    const server = new McpServer({ name: 'migration-example', version: '1.0.0' }, { ...ctx.serverOptions });
    server.registerTool('whoami', whoami, sayWho);
    return server;
  },
  {
    sessionMigrationHandler: fileSessions(process.env['SESSIONS'] ?? './sessions'),
    idleTimeoutMs: Number(process.env['IDLE_MS'] ?? 7_200_000),
    // After an idle end here, a client that used another process may return: ask the handler, which decides.
    tombstoneMs: 0,
  },
);

const { url } = await endpoint.listen({ port: Number(process.env['PORT'] ?? 3000) });
console.log(url);

async function stop(): Promise<void> {
  await endpoint.drain();
  await endpoint.close();
}
process.once('SIGTERM', () => void stop());
