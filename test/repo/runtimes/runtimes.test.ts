// @module-tag matrix
/** The built package on other runtimes: the `fetch` face on Bun and Deno, the `node` face on newer Nodes. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect, it } from 'vitest';
import { lackOf } from '../../installs/installed.ts';
import { runtimes, start } from './runtime.ts';

/** The first run of a fresh machine downloads the runtimes. */
const timeout = 240_000;

const lack = lackOf('runtimes');

describe.skipIf(lack !== '').each(runtimes)(`on $name${lack}`, { timeout }, (runtime) => {
  it('a session is opened, called, notified over GET and ended', async () => {
    const server = await start(runtime);
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
    const server = await start(runtime);
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

  it('a stream answers before its first message and ends when the process gets SIGTERM', async () => {
    const server = await start(runtime);
    const { head, post } = await openSession(server.url);
    const held = await head({
      method: 'POST',
      ...post(2, 'tools/call', { name: 'hold', arguments: {} }),
    });
    const listening = await head({ method: 'GET' });
    await (
      await head({ method: 'POST', ...post(3, 'tools/call', { name: 'release', arguments: {} }) })
    ).text();
    expect(await held.text()).toContain('"text":"done"');
    const ended = listening.text();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    await ended;
  });
});

/**
 * A session of 2025-06-18: nothing primes its streams, so a runtime that holds the head back until there is a first
 * byte (Bun does) would leave the client waiting for the first message or keep-alive.
 */
async function openSession(url: string) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  const post = (id: number, method: string, params: unknown) => ({
    body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
  });
  const clientInfo = { name: 'raw', version: '1.0.0' };
  const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo };
  const opened = await fetch(url, { method: 'POST', headers, ...post(1, 'initialize', params) });
  await opened.text();
  const session = { ...headers, 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };

  const head = async (init: RequestInit) => {
    const tooLate = new AbortController();
    const timer = setTimeout(
      () => tooLate.abort(new Error(`no answer to ${init.method} within 5 s`)),
      5_000,
    );
    const response = await fetch(url, { ...init, headers: session, signal: tooLate.signal });
    clearTimeout(timer);
    expect(response.status).toBe(200);
    return response;
  };
  return { head, post };
}
