// @module-tag matrix
/**
 * Tasks are new in a deployment: its instances before know none, and serve beside those that have them. Clients go on
 * calling all the time, through a load balancer that takes an instance out before it stops.
 */
import { expect, onTestFinished, test } from 'vitest';
import { clientOf, deployment, textOf } from '../cli/deployment.ts';
import { dist } from '../cli/cli-process.ts';
import { callModern } from '../kit/modern.ts';
import { durableKinds, sharedDeployment, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { TaskClient } from '../tasks/kit.ts';
import { buildWithoutTasks } from './builds.ts';

useSharedStores();

const WITH_TASKS = { SOJOURN_TASKS: 'true', FILM_WHEN: 'always' };
/** Every stop here gives its lease back. An idle session is waited for, and no client pauses for as long. */
const SHARED = { SOJOURN_LEASE_MS: '10000', SOJOURN_IDLE_TIMEOUT_MS: '12000' };
const UNKNOWN = { code: -32_601 };
const ACCEPTED = { publish: { action: 'accept' } };
const MADE = { status: 'completed', result: { content: [{ text: 'film, accept, attempt 1' }] } };

const taskClientOf = (url: string) => new TaskClient(clientOf(url));
const pause = () => new Promise((over) => setTimeout(over, 20));

/** A load balancer, and clients that call all the time. */
class Traffic {
  readonly failed: string[] = [];
  calls = 0;
  /** Where the next calls go. */
  #urls: readonly string[] = [];
  #isOver = false;
  readonly #clients: Promise<void>[] = [];

  to(...urls: readonly string[]): void {
    this.#urls = urls;
  }

  /** A session that was opened at one instance, whose calls go to all in turns. Each raises its counter by one. */
  async session(at: string): Promise<void> {
    const first = clientOf(at);
    await first.initialize();
    let counted = 0;
    this.#clients.push(
      this.#call(first, async (client) => {
        const { message } = await client.call('tools/call', { name: 'count', arguments: {} });
        return textOf(message) === String((counted += 1)) ? undefined : JSON.stringify(message);
      }),
    );
  }

  /** A client of 2026-07-28. */
  modern(): void {
    this.#clients.push(
      this.#call(undefined, async (client) => {
        const { message } = await callModern(client, 'tools/call', { name: 'plain', arguments: {} });
        return textOf(message) === 'plain' ? undefined : JSON.stringify(message);
      }),
    );
  }

  async #call(of: RawClient | undefined, call: (client: RawClient) => Promise<string | undefined>): Promise<void> {
    const clients = new Map<string, RawClient>();
    for (let n = 0; !this.#isOver; n++) {
      const url = this.#urls[n % this.#urls.length] as string;
      const client = clients.get(url) ?? clientOf(url, of);
      clients.set(url, client);
      const wrong = await call(client).catch((error: Error) => error.message);
      if (wrong !== undefined) this.failed.push(wrong);
      this.calls += 1;
      await pause();
    }
  }

  /** Resolves when each instance has served some more calls. */
  async some(): Promise<void> {
    const from = this.calls;
    await until(() => this.calls >= from + 60, { timeoutMs: 60_000 });
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
  }
}

const stopped = async ({ cli }: Awaited<ReturnType<ReturnType<typeof deployment>['start']>>): Promise<void> => {
  cli.kill('SIGTERM');
  expect(await cli.ended()).toMatchObject({ code: 0 });
};

const before = [
  ...durableKinds.map((kind) => ({ kind, name: 'a build without tasks', folder: buildWithoutTasks })),
  { kind: 'sqlite', name: 'this build without the option', folder: () => dist },
] as const;

test.each(before)(
  'a deploy, a way back and a second deploy over $name, on $kind: no call fails, and the task ends',
  { timeout: 180_000 },
  async ({ kind, folder }) => {
    const { start, happened } = deployment({ ...sharedDeployment(kind), server: 'film-server.mjs', env: SHARED });
    const old = await start({}, folder());
    const first = await start(WITH_TASKS);
    const traffic = new Traffic();
    onTestFinished(() => traffic.end());
    await clientOf(old.url).initialize();
    traffic.to(old.url, first.url);
    for (const { url } of [old, first]) await traffic.session(url);
    traffic.modern();
    await traffic.some();

    const [atOld, atFirst] = [taskClientOf(old.url), taskClientOf(first.url)];
    const id = await atFirst.start('film');
    const asked = await atFirst.until(id, 'input_required');
    expect((await atOld.ask('tasks/get', { taskId: id })).error).toMatchObject(UNKNOWN);
    expect(textOf(await atOld.call('film'))).toBe('no task');

    traffic.to(old.url);
    await stopped(first);
    await traffic.some();
    expect((await atOld.ask('tasks/get', { taskId: id })).error).toMatchObject(UNKNOWN);

    const second = await start(WITH_TASKS);
    traffic.to(old.url, second.url);
    await traffic.some();
    // Its sweep of the store runs beside that of idle sessions.
    await until(() => old.cli.output.stderr.includes('IdleTimeout'), { timeoutMs: 60_000 });
    const atSecond = taskClientOf(second.url);
    const { lastUpdatedAt, ...kept } = await atSecond.get(id);
    // The first instance gave the task back.
    expect({ ...kept, lastUpdatedAt: typeof lastUpdatedAt }).toEqual({ ...asked, lastUpdatedAt: 'string' });
    traffic.to(second.url);
    await stopped(old);
    await traffic.some();

    await atSecond.update(id, ACCEPTED);
    expect(await atSecond.ended(id)).toMatchObject(MADE);
    expect(happened()).toEqual(['frames']);
    await traffic.end();
    console.log(`${kind}: ${traffic.calls} ordinary calls, ${traffic.failed.length} failed`);
    expect(traffic.failed).toEqual([]);
  },
);

test(
  'two deploys, the first of which makes no tasks: every instance answers for them, and continues them',
  { timeout: 120_000 },
  async () => {
    const { start, happened } = deployment({ server: 'film-server.mjs', env: SHARED });
    const old = await start({ ...WITH_TASKS, FILM_WHEN: 'manual' });
    const first = await start(WITH_TASKS);
    const [atOld, atFirst] = [taskClientOf(old.url), taskClientOf(first.url)];
    const id = await atFirst.start('film');
    const asked = await atFirst.until(id, 'input_required');
    expect(await atOld.get(id)).toEqual(asked);
    await stopped(first);
    expect(await atOld.get(id)).toMatchObject({ status: 'input_required' });
    await atOld.update(id, ACCEPTED);
    expect(await atOld.ended(id)).toMatchObject(MADE);
    expect(happened()).toEqual(['frames']);
  },
);
