/** What tests see and change on a Redis server beside the store. */
import { createClient } from 'redis';
import { onTestFinished } from 'vitest';
import type { Kind } from '../../src/stores/store.ts';
import { RedisBackend } from '../../packages/redis/src/backend.ts';
import { KindKeys, type RowKeys } from '../../packages/redis/src/keys.ts';
import { redisStore } from '../../packages/redis/src/redis-store.ts';
import type { RedisServer, Target } from '../../packages/redis/src/server.ts';
import { single } from '../../packages/redis/src/single-server.ts';
import { systemTime } from '../../src/base/system.ts';
import { ServerClock } from '../../src/stores/kernel/server-clock.ts';
import { Deadlines } from '../../src/stores/shared/deadlines.ts';
import { LEASES } from '../../src/stores/shared/instances.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';
import { type BackendUnderTest, KINDS } from './contract/backend/backend-contract.ts';
import { movedTime } from './model-runs.ts';
import type { MovedClock } from './server-stores.ts';
import { newName } from './views.ts';

export { announce, append, FENCE, ME, newName, openView, recordOf } from './views.ts';

/** The keys of a record of a view's kind. */
export const keysOf = (
  name: string,
  id: string,
  kind: Pick<Kind, 'name' | 'grouped'> = { name: 'things' },
): RowKeys =>
  new KindKeys('sojourn', name, { log: false, keepMs: 0, listed: true, ...kind }).of(id);

export const channelOf = (name: string, instance: string): string =>
  keysOf(name, instance, LEASES).row;

/** Closed when the test is over. */
export async function openedServer(
  target: Target,
  name: string,
  limitMs: number,
): Promise<RedisServer> {
  const deadlines = new Deadlines(systemTime, limitMs);
  const keys = new KindKeys('sojourn', name, LEASES).orders().map(({ ids }) => ids);
  const server = target({ logger: createLog(), deadlines, keys });
  onTestFinished(() => server.close());
  await server.open();
  return server;
}

/** Backends of one new deployment, each with a connection. They are closed when the test is over. */
export function openBackends(target: Target): BackendUnderTest {
  const name = newName();
  return {
    async connect() {
      const server = await openedServer(target, name, 20_000);
      const keys = new Map(KINDS.map((kind) => [kind, new KindKeys('sojourn', name, kind)]));
      const clock = new ServerClock({ time: systemTime, ask: async () => Date.now() });
      return new RedisBackend(server, clock, keys);
    },
  };
}

type Ask = (...args: readonly [string, ...string[]]) => Promise<unknown>;

/** Sends commands beside the store; the connection closes when the test is over. */
export async function openRedis(url: string): Promise<Ask> {
  const client = await createClient({ url, RESP: 2 })
    .on('error', () => undefined)
    .connect();
  onTestFinished(() => client.destroy());
  return (...args) => client.sendCommand([...args]);
}

/**
 * An acknowledged write may not have reached the replica yet. `WAIT` counts the writes of the connection that sends it,
 * and the store uses another one.
 */
export async function replicated(primary: Ask, replica: Ask): Promise<void> {
  const offsetOf = async (ask: Ask, field: string): Promise<number> =>
    Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(String(await ask('INFO', 'replication')))?.[1]);
  const written = await offsetOf(primary, 'master_repl_offset');
  await until(async () => (await offsetOf(replica, 'slave_repl_offset')) >= written, {
    what: 'the replica has it all',
  });
}

const AHEAD_MS = 3_600_000;

/** The server answers `TIME` with the time of the test. */
export function moveClock(url: string): MovedClock {
  const { time, pass } = movedTime();
  const began = Date.now() + AHEAD_MS - time.now();
  const now = (): number => began + time.now();
  const target: Target = (settings) => {
    const server = single({ url })(settings);
    server.time = async () => [Math.floor(now() / 1_000), (now() % 1_000) * 1_000];
    return server;
  };
  return { connect: () => redisStore(target, 'sojourn'), time, now, pass, close: () => undefined };
}
