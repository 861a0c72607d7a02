/** The built package on other runtimes: the `fetch` face on Bun and Deno, the `node` face on newer Nodes. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Runtime, runtimes, start } from './runtime.ts';

/** The first run of a fresh machine downloads the runtimes. */
const timeout = 240_000;

async function serve(runtime: Runtime) {
  const server = await start(runtime);
  onTestFinished(() => void server.kill());
  return server;
}

describe.each(runtimes)('on $name', { timeout }, (runtime) => {
  it('a session is opened, called, notified over GET and ended', async () => {
    const server = await serve(runtime);
    const transport = new StreamableHTTPClientTransport(new URL(server.url));
    const client = new Client({ name: 'smoke', version: '1.0.0' });
    const announced = new Promise<void>((resolve) => {
      client.setNotificationHandler('notifications/tools/list_changed', () => resolve());
    });
    await client.connect(transport);
    expect(transport.sessionId).toMatch(/^[\w-]{22}$/);

    const answer = await client.callTool({ name: 'echo', arguments: { message: 'grüße ✓' } });
    expect(answer.content).toEqual([{ type: 'text', text: 'grüße ✓' }]);
    await client.callTool({ name: 'announce' });
    await announced;

    await transport.terminateSession();
    await client.close();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it('a 2026-07-28 client is served without a session', async () => {
    const server = await serve(runtime);
    const transport = new StreamableHTTPClientTransport(new URL(server.url));
    const client = new Client(
      { name: 'smoke', version: '1.0.0' },
      { versionNegotiation: { mode: { pin: '2026-07-28' } } },
    );
    await client.connect(transport);
    const answer = await client.callTool({ name: 'echo', arguments: { message: 'hello' } });
    expect(answer.content).toEqual([{ type: 'text', text: 'hello' }]);
    expect(transport.sessionId).toBeUndefined();
    await client.close();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  it('an open GET stream ends when the process is told to stop', async () => {
    const server = await serve(runtime);
    const { session, stream } = await openStream(server.url);
    expect(session).not.toBeNull();
    const reader = stream.getReader();
    const ended = (async () => {
      while (!(await reader.read()).done);
    })();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    await ended;
  });
});

async function openStream(url: string) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'raw', version: '1.0.0' },
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
  const opened = await fetch(url, { method: 'POST', headers, body });
  await opened.text();
  const session = opened.headers.get('mcp-session-id');
  const stream = await fetch(url, { headers: { accept: 'text/event-stream', 'mcp-session-id': session! } });
  expect(stream.status).toBe(200);
  return { session, stream: stream.body! };
}
