/**
 * Servers with a copy of an older version of the SDK, behind a factory and as one object, on SQLite. Each client calls,
 * is asked, and one begins a task. Then the process is killed, another one takes its port, and each client does the same
 * again. The task continues.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { installed, lackOf } from '../../tools/installed.ts';
import { freePort } from '../kit/free-port.ts';
import { isMatrix } from '../kit/matrix.ts';
import { buildOf, bundle, SDKS } from '../kit/older-sdks.ts';
import { until } from '../kit/until.ts';
import { TaskClient } from '../tasks/kit.ts';
import { type AdoptingClient, type ClientKind, CLIENTS, firstLine, secondLine } from './clients.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { openClient } from '../kit/listening.ts';

type Case = readonly [way: 'factory' | 'object', copy: string, className: 'McpServer' | 'Server'];

/** Some of the products on each change, all of them in the matrix. */
const SOME: readonly Case[] = [
  ['factory', 'server-2.0.0', 'McpServer'],
  ['factory', 'server-2.0.0', 'Server'],
  ['object', 'server-2.0.0', 'McpServer'],
  ['factory', 'bundled 2.0.0', 'McpServer'],
  ['factory', 'sdk-1.20.2', 'McpServer'],
  ['factory', 'sdk-1.10.2', 'McpServer'],
  ['factory', 'sdk-1.0.1', 'Server'],
];
const ALL = SDKS.flatMap((copy) =>
  (copy === 'sdk-1.0.1' ? (['Server'] as const) : (['McpServer', 'Server'] as const)).flatMap((className) =>
    (['factory', 'object'] as const).map((way): Case => [way, copy, className]),
  ),
);
const lack = lackOf('sdks');
const program = fileURLToPath(new URL('processes/sdk-server.mjs', import.meta.url));
const START_MS = 30_000;

class SdkServer {
  readonly #child;
  readonly #ended;
  log = '';

  constructor(args: readonly string[]) {
    this.#child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    this.#ended = once(this.#child, 'close');
  }

  async url(): Promise<string> {
    const found = (): string | undefined => /^\{"url":"(.*)"\}$/m.exec(this.log)?.[1];
    await until(() => found() !== undefined || this.#child.exitCode !== null, { timeoutMs: START_MS });
    const url = found();
    if (url === undefined) throw new Error(this.log);
    return url;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** The newest clients, and the oldest ones that speak Streamable HTTP. */
async function clientKinds(): Promise<readonly ClientKind[]> {
  const second = join(await installed('sdks'), 'node_modules/client-2.0.0/dist');
  return [
    ...CLIENTS,
    firstLine('v1 1.10.2', await buildOf('sdk-1.10.2')),
    secondLine('v2 2.0.0 auto', second, 'auto'),
    secondLine('v2 2.0.0 pinned', second, 'pinned'),
  ];
}

async function buildIn(copy: string): Promise<string> {
  if (!copy.startsWith('bundled')) return buildOf(copy);
  const folder = temporaryFolder();
  return bundle(folder);
}

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

test.skipIf(lack !== '').each(isMatrix ? [...SOME.filter(([, copy]) => copy.startsWith('bundled')), ...ALL] : SOME)(
  `a server as %s, with %s, %s, serves the clients of every era, and again after its process was killed${lack}`,
  { timeout: 120_000 },
  async (way, copy, className) => {
    const folder = temporaryFolder();
    const build = await buildIn(copy);
    const isSecond = existsSync(join(build, 'index.mjs'));
    const args = [build, className, way, join(folder, 'sessions.db'), String(await freePort())];
    let server = new SdkServer(args);
    onTestFinished(() => server.kill());
    const url = await server.url();
    const firsts = [];
    for (const kind of await clientKinds()) {
      if (kind.wants === 'pinned' && !isSecond) {
        await expect(kind.connect(url, folder), kind.name).rejects.toThrow(/Unsupported protocol version/);
        continue;
      }
      const client = await kind.connect(url, folder);
      onTestFinished(() => client.close());
      expect([kind.name, client.era]).toEqual([kind.name, isSecond && kind.wants !== '2025' ? '2026-07-28' : '2025']);
      firsts.push({ client, first: await use(client) });
    }
    const raw = openClient(url, { timeoutMs: START_MS });
    const tasks = new TaskClient(raw);
    const film = isSecond ? await tasks.start('film') : undefined;
    if (film !== undefined) await until(async () => (await tasks.get(film))['statusMessage'] === 'begun');
    const { log } = server;
    await server.kill();
    server = new SdkServer(args);
    await server.url();
    for (const { client, first } of firsts) {
      const [pid, calls] = await use(client);
      expect(pid).not.toBe(first[0]);
      if (client.era === '2025') expect(calls).toBe(first[1] + 1);
      if (film !== undefined)
        expect(await tasks.ended(film)).toMatchObject({ result: { content: [{ text: `${first[0]} ${pid}` }] } });
    }
    expect((log + server.log).split('\n').filter((line) => /^sojourn: (error|fatal):/.test(line))).toEqual([]);
  },
);
