// @module-tag matrix
/**
 * Servers with a copy of an older version of the SDK, behind a factory and as one object, on SQLite. Each client calls,
 * is asked, and one begins a task. Then the process is killed, another one takes its port, and each client does the same
 * again. The task continues.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { installed, lackOf } from '../installs/installed.ts';
import { startNode } from '../kit/child-process.ts';
import { freePort } from '../kit/free-port.ts';
import { buildOf, bundle, SDKS } from '../kit/older-sdks.ts';
import { until } from '../kit/until.ts';
import { TaskClient } from '../durable/tasks/kit.ts';
import { type AdoptingClient, type ClientKind, CLIENTS, firstLine, secondLine } from './clients.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { openClient } from '../kit/listening.ts';

type Case = readonly [way: 'factory' | 'object', copy: string, className: 'McpServer' | 'Server'];

const ALL = SDKS.flatMap((copy) =>
  (copy === 'sdk-1.0.1' ? (['Server'] as const) : (['McpServer', 'Server'] as const)).flatMap(
    (className) => (['factory', 'object'] as const).map((way): Case => [way, copy, className]),
  ),
);
const BUNDLED: Case = ['factory', 'bundled 2.0.0', 'McpServer'];
const lack = lackOf('sdks');
const program = fileURLToPath(new URL('processes/sdk-server.mjs', import.meta.url));
const CALL_MS = 30_000;

async function startServer(args: readonly string[]) {
  const server = startNode([program, ...args]);
  return { ...server, url: await server.says(/^\{"url":"(.*)"\}$/m) };
}

/** The newest clients, and the oldest ones that speak Streamable HTTP. */
function clientKinds(): readonly ClientKind[] {
  const second = join(installed('sdks'), 'node_modules/client-2.0.0/dist');
  return [
    ...CLIENTS,
    firstLine('v1 1.10.2', buildOf('sdk-1.10.2')),
    secondLine('v2 2.0.0 auto', second, 'auto'),
    secondLine('v2 2.0.0 pinned', second, 'pinned'),
  ];
}

const buildIn = (copy: string): Promise<string> =>
  copy.startsWith('bundled') ? bundle(temporaryFolder()) : Promise.resolve(buildOf(copy));

/** The process that answered, and in a session how many calls its state has counted. */
async function use(client: AdoptingClient): Promise<readonly [pid: number, calls: number]> {
  let progressed = false;
  const answer = await client.call(
    { name: 'echo', args: { text: 'hello' } },
    { onprogress: () => (progressed = true) },
  );
  const [, pid, calls, reported] = /hello (\d+) (\d+|-) (\w+)/.exec(answer) ?? [];
  expect([answer, progressed]).toEqual([expect.stringContaining('hello'), reported === 'reported']);
  if (client.elicits && (await client.tools()).includes('ask'))
    expect(await client.call({ name: 'ask' })).toMatch(/elicited/);
  return [Number(pid), Number(calls)];
}

test.skipIf(lack !== '').each([BUNDLED, ...ALL])(
  `a server as %s, with %s, %s, serves the clients of every era, and again after its process was killed${lack}`,
  { timeout: 120_000 },
  async (way, copy, className) => {
    const folder = temporaryFolder();
    const build = await buildIn(copy);
    const isSecond = existsSync(join(build, 'index.mjs'));
    const args = [build, className, way, join(folder, 'sessions.db'), String(await freePort())];
    const first = await startServer(args);
    const { url } = first;
    const firsts = [];
    for (const kind of clientKinds()) {
      if (kind.wants === 'pinned' && !isSecond) {
        await expect(kind.connect(url, folder), kind.name).rejects.toThrow(
          /Unsupported protocol version/,
        );
        continue;
      }
      const client = await kind.connect(url, folder);
      onTestFinished(() => client.close());
      expect([kind.name, client.era]).toEqual([
        kind.name,
        isSecond && kind.wants !== '2025' ? '2026-07-28' : '2025',
      ]);
      firsts.push({ client, before: await use(client) });
    }
    const raw = openClient(url, { timeoutMs: CALL_MS });
    const tasks = new TaskClient(raw);
    const film = isSecond ? await tasks.start('film') : undefined;
    if (film !== undefined)
      await until(async () => (await tasks.get(film))['statusMessage'] === 'begun');
    await first.stop('SIGKILL');
    const second = await startServer(args);
    for (const { client, before } of firsts) {
      const [pid, calls] = await use(client);
      expect(pid).not.toBe(before[0]);
      if (client.era === '2025') expect(calls).toBe(before[1] + 1);
      if (film !== undefined)
        expect(await tasks.ended(film)).toMatchObject({
          result: { content: [{ text: `${before[0]} ${pid}` }] },
        });
    }
    const log = [first, second].map(({ output }) => output.stdout + output.stderr).join('\n');
    expect(log.split('\n').filter((line) => /^sojourn: (error|fatal):/.test(line))).toEqual([]);
  },
);
