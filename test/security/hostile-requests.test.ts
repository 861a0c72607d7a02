/**
 * Hostile targets and headers by raw socket against one process that serves every mode under every face, with
 * `legacySse: true` where there are sessions: each request gets an answer, the process lives, and other clients are
 * served all the while.
 */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { startNode } from '../kit/child-process.ts';
import { openClient } from '../kit/listening.ts';
import { connectSse } from '../kit/legacy-sse.ts';
import { until } from '../kit/until.ts';
import { headers, targets } from './hostile-requests.ts';
import { RawConnection } from './raw-connection.ts';

const SERVER = fileURLToPath(new URL('processes/hostile-server.mjs', import.meta.url));

async function start() {
  const { child, output, alive } = startNode([SERVER]);
  await until(() => output.stdout.endsWith('\n') || child.exitCode !== null, { timeoutMs: 20_000, what: 'the ports' });
  const ports = JSON.parse(output.stdout) as Record<string, number>;
  return { ports: Object.entries(ports), output, alive };
}

const clientOf = (port: number) => openClient(`http://127.0.0.1:${port}/mcp`, { timeoutMs: 20_000 });

/** A tool call of another client, over a separate connection. */
async function isServed(port: number): Promise<boolean> {
  const client = clientOf(port);
  const { response } = await client.initialize();
  const { message } = await client.call('tools/call', { name: 'echo', arguments: { a: 1 } });
  client.close();
  return response.status === 200 && message.error === undefined;
}

/** Requests between two looks at another client. */
const EVERY = 500;

test.each([
  ['targets', targets],
  ['headers', headers],
])(
  'hostile %s are all answered, by a process that lives and serves others',
  { timeout: 120_000 },
  async (_, requests) => {
    const { ports, output, alive } = await start();
    let asked = 0;
    const wrong: string[] = [];
    for (const [name, port] of ports) {
      const connection = new RawConnection(port);
      const old = name.startsWith('stateless') ? undefined : await connectSse(clientOf(port), '/mcp/sse');
      for (const bytes of requests()) {
        const answer = await connection.ask(bytes);
        if (typeof answer === 'string' || answer >= 500) wrong.push(`${name}: ${answer}: ${bytes.subarray(0, 400)}`);
        asked += 1;
        if (!alive()) throw new Error(`${name} died of ${bytes.subarray(0, 400)}: ${output.stderr}`);
        if (asked % EVERY === 0) expect(await isServed(port)).toBe(true);
      }
      old?.stream.abort();
      expect(await isServed(port)).toBe(true);
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThanOrEqual(3_000);
    expect(output.stderr).not.toMatch(/something unexpected/);
  },
);
