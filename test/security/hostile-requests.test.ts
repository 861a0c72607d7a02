/**
 * Hostile targets, bodies and headers by raw socket against one process that serves every mode under every face, with
 * `legacySse: true` where there are sessions: each request gets an answer, the process lives, and other clients are
 * served all the while.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRawClient } from '../kit/raw-client.ts';
import { startNode } from '../kit/child-process.ts';
import { connectSse, handshake } from '../kit/legacy-sse.ts';
import { until } from '../kit/until.ts';
import { bodies, headers, nested, post, targets } from './hostile-requests.ts';
import { RawConnection } from './raw-connection.ts';

const SERVER = fileURLToPath(new URL('processes/hostile-server.mjs', import.meta.url));

async function start() {
  const { child, output, alive } = startNode([SERVER]);
  await until(() => output.stdout.endsWith('\n') || child.exitCode !== null, { timeoutMs: 20_000, what: 'the ports' });
  const ports = JSON.parse(output.stdout) as Record<string, number>;
  return { ports: Object.entries(ports), output, alive };
}

function clientOf(port: number) {
  const client = createRawClient(`http://127.0.0.1:${port}/mcp`, { timeoutMs: 20_000 });
  onTestFinished(() => client.close());
  return client;
}

/** A tool call of another client, over a separate connection. */
async function isServed(port: number): Promise<boolean> {
  const client = clientOf(port);
  const { response } = await client.initialize();
  const { message } = await client.call('tools/call', { name: 'echo', arguments: { a: 1 } });
  client.close();
  return response.status === 200 && message.error === undefined;
}

describe.each([
  ['targets', () => targets()],
  ['headers', () => headers()],
] as const)('hostile %s', (_, variants) => {
  test('are all answered, by a process that lives and serves others', { timeout: 120_000 }, async () => {
    const { ports, output, alive } = await start();
    let asked = 0;
    const wrong: string[] = [];
    for (const [name, port] of ports) {
      const connection = new RawConnection(port);
      for (const bytes of variants()) {
        const answer = await connection.ask(bytes);
        if (typeof answer === 'string' || answer >= 500) wrong.push(`${name}: ${answer}: ${bytes.subarray(0, 200)}`);
        asked += 1;
        if (!alive()) throw new Error(`${name} died of ${bytes.subarray(0, 300)}: ${output.stderr}`);
        if (asked % 500 === 0) expect(await isServed(port)).toBe(true);
      }
      expect(await isServed(port)).toBe(true);
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThanOrEqual(3_000);
    expect(output.stderr).not.toMatch(/something unexpected/);
  });
});

describe('hostile bodies', () => {
  test('are all answered, by a process that lives and serves others', { timeout: 120_000 }, async () => {
    const { ports, output, alive } = await start();
    let asked = 0;
    const wrong: string[] = [];
    for (const [name, port] of ports) {
      const connection = new RawConnection(port);
      const old = name.startsWith('stateless') ? undefined : await connectSse(clientOf(port), '/mcp/sse');
      for (const bytes of bodies(old?.endpoint ?? '/mcp/message?sessionId=x')) {
        const answer = await connection.ask(bytes);
        if (typeof answer === 'string' || answer >= 500) wrong.push(`${name}: ${answer}: ${bytes.subarray(0, 400)}`);
        asked += 1;
        if (!alive()) throw new Error(`${name} died of ${bytes.subarray(0, 400)}: ${output.stderr}`);
        if (asked % 200 === 0) expect(await isServed(port)).toBe(true);
      }
      old?.stream.abort();
      expect(await isServed(port)).toBe(true);
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThanOrEqual(3_000);
    expect(output.stderr).not.toMatch(/something unexpected/);
  });

  test('a nested handshake on the message endpoint is refused with its id, and the connection serves the next one', async () => {
    const { ports } = await start();
    for (const [name, port] of ports) {
      if (name.startsWith('stateless')) continue;
      const client = clientOf(port);
      const { stream, endpoint, post: send } = await connectSse(client, '/mcp/sse');
      const text = JSON.stringify(handshake(7)).replace(
        '"sampling":{}',
        `"sampling":${nested(60_000, '{"a":', '}').replace(':}', ':1}')}`,
      );
      const refused = await client.post(text, { path: endpoint });
      expect(refused.status).toBe(400);
      expect(JSON.parse(refused.body)).toMatchObject({ id: 7, error: { code: -32600 } });
      expect(await new RawConnection(port).ask(post(endpoint, text))).toBe(400);
      expect((await send(handshake(8))).status).toBe(202);
      expect(await stream.nextMessage()).toMatchObject({ id: 8, result: { protocolVersion: '2024-11-05' } });
      stream.abort();
    }
  });
});
