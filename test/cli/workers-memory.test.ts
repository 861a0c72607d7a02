/** `sojourn serve --workers N` without a store: what is of all workers, and what ends with one of them. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { connectV2 } from '../clients/official.ts';
import { ownConnections } from '../clients/own-connections.ts';
import { answersGoOn, keepCalling } from '../kit/calling.ts';
import { say } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { isAlive, pinned, pinnedTo, startWorkers } from './workers-process.ts';

const CLIENTS = 8;
/** New connections, one after the other: for 6 s, in which the busy worker is free 15 times. */
const [ARRIVALS, APART_MS] = [120, 50];

/** Two workers without a store. `shared`: the folders that their supervisor has made. */
async function workersOnMemory() {
  const folder = temporaryFolder();
  const [runs, temporary] = [join(folder, 'runs'), join(folder, 'tmp')];
  mkdirSync(temporary);
  const workers = startWorkers({
    module: 'shared-server.mjs',
    store: 'memory:',
    env: { RUNS: runs, TMPDIR: temporary },
  });
  const url = await workers.url();
  const shared = (): string[] =>
    readdirSync(temporary).filter((name) => name.startsWith('sojourn-'));
  const ran = (): string[] =>
    existsSync(runs) ? readFileSync(runs, 'utf8').split('\n').filter(Boolean) : [];
  return { workers, url, one: workers.pid(1), two: workers.pid(2), shared, ran };
}

/** A call without a session. */
async function ask(
  client: RawClient,
  name: string,
  args: object = {},
): Promise<string | undefined> {
  const { message } = await callModern(client, 'tools/call', { name, arguments: args });
  const { content } = message.result as { content?: { text?: string }[] };
  return content?.[0]?.text;
}

describe.runIf(process.platform === 'linux')('workers on memory', { timeout: 240_000 }, () => {
  test('state of users, keys that run once and tasks are of all workers', async () => {
    const { workers, one, two, ran, shared } = await workersOnMemory();
    expect(workers.output.stdout).toMatch(
      /^ {2}store {5}memory of the workers \(sessions end with them\)$/m,
    );
    expect(shared()).toHaveLength(1);
    const [here, there] = [await pinnedTo(workers, one), await pinnedTo(workers, two)];
    expect([await ask(here, 'where'), await ask(there, 'where')]).toEqual([`${one}`, `${two}`]);
    expect([await ask(here, 'visit'), await ask(there, 'visit')]).toEqual(['1', '2']);
    const paid = `gas by ${one}`;
    expect(await ask(here, 'pay', { key: 'gas' })).toBe(paid);
    expect(await ask(there, 'pay', { key: 'gas' })).toBe(paid);
    expect(ran()).toEqual(['gas']);
    // A task of one worker, asked for at the other.
    const extensions = { 'io.modelcontextprotocol/tasks': {} };
    const begun = await callModern(
      here,
      'tools/call',
      { name: 'dig', arguments: {} },
      { capabilities: { extensions } },
    );
    const { taskId } = begun.message.result as { taskId: string };
    const look = async () => {
      const { message } = await callModern(
        there,
        'tasks/get',
        { taskId },
        { capabilities: { extensions } },
      );
      return message.result as { status: string; result?: unknown };
    };
    await until(async () => (await look()).status === 'completed', { what: 'the task to end' });
    expect(JSON.stringify(await look())).toContain(`dug by ${one}`);
    // SIGTERM leaves nothing.
    workers.kill('SIGTERM');
    expect(await workers.ended()).toMatchObject({ code: 0 });
    expect(shared()).toEqual([]);
  });

  test('a rolling restart ends no session and fails no call', async () => {
    const { workers, url } = await workersOnMemory();
    const clients = [];
    for (let n = 0; n < CLIENTS; n++)
      clients.push(await connectV2(url, { fetch: await ownConnections() }));
    const callers = clients.map((client) =>
      keepCalling(async (answered) => expect(await client.say('count')).toBe(`${answered + 1}`)),
    );
    await answersGoOn(callers);
    workers.kill('SIGHUP');
    await workers.logs('rolling restart done');
    await answersGoOn(callers);
    await Promise.all(callers.map(({ stop }) => stop()));
    expect(callers.flatMap(({ failures }) => failures)).toEqual([]);
  });

  test('a worker that dies takes its sessions along, and nothing else', async () => {
    const { workers, url, one, two, ran } = await workersOnMemory();
    const [here, there] = [await pinnedTo(workers, one), await pinnedTo(workers, two)];
    for (const client of [here, there]) await client.initialize();
    for (const client of [here, there]) expect(await say(client, 'count')).toBe('1');
    expect(await ask(here, 'visit')).toBe('1');
    // A call that runs there, relayed and not.
    const relayed = await pinnedTo(workers, two, here);
    const running = [here, relayed].map((client) =>
      say(client, 'slow').catch((error: unknown) => String(error)),
    );
    await until(() => ran().length === 2, { what: 'both calls to run' });
    process.kill(one, 'SIGKILL');
    expect((await Promise.all(running)).map((end) => end !== 'done')).toEqual([true, true]);
    await workers.replaced(1, one);
    const gone = await pinned(url, here).post({
      jsonrpc: '2.0',
      id: 900,
      method: 'tools/call',
      params: { name: 'count', arguments: {} },
    });
    expect(gone.status).toBe(404);
    expect(await say(there, 'count')).toBe('2');
    expect(await ask(there, 'visit')).toBe('2');
    expect(ran()).toEqual(['slow', 'slow']);
  });

  test('a worker that computes gets few of the new connections, and delays no other', async () => {
    const { workers, url, one } = await workersOnMemory();
    const busy = ask(await pinnedTo(workers, one), 'toil');
    const took: [pid: string | undefined, ms: number][] = [];
    for (let n = 0; n < ARRIVALS; n++) {
      const began = performance.now();
      const pid = await ask(pinned(url), 'where');
      const ms = performance.now() - began;
      took.push([pid, ms]);
      await new Promise((next) => setTimeout(next, Math.max(0, APART_MS - ms)));
    }
    const there = took.filter(([pid]) => pid !== String(one));
    expect(took.length - there.length).toBeLessThan(ARRIVALS / 4);
    // One that waits for the busy worker waits up to 300 ms.
    const sorted = there.map(([, ms]) => ms).toSorted((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length * 0.9)]).toBeLessThan(150);
    expect(await busy).toBe('toiled');
  });

  test('a supervisor that is killed leaves no folder behind', async () => {
    const { workers, one, two, shared } = await workersOnMemory();
    workers.kill('SIGKILL');
    await until(() => ![one, two].some(isAlive), { what: 'the workers to end' });
    expect(shared()).toEqual([]);
  });
});
