/** The store object. All endpoints that share it use one server. */
import {
  Deadlines,
  LEASES,
  ServerClock,
  TurnWrites,
  answerLimitMs,
  kindsOf,
  sharedStore,
  type Store,
  type StoreRoom,
  type Writes,
} from 'sojourn/internal';
import { RedisBackend } from './backend.ts';
import type { Reply } from './client.ts';
import { KindKeys } from './keys.ts';
import { RedisMailboxes } from './mailboxes.ts';
import { factsOf } from './server-check.ts';
import type { RedisServer, Target } from './server.ts';

/** Keys that one step looks at. */
const SCANNED = '1000';

export const redisStore = (target: Target, prefix: string): Store =>
  sharedStore(
    'redis',
    /** The first view sets how long a reply may take: a part of its lease. */
    async ({ deployment, time, logger, leaseMs }) => {
      const ask = async (): Promise<number> => timeOf(await server.time());
      const deadlines = new Deadlines(time, answerLimitMs(leaseMs));
      const clock = new ServerClock({ time, ask });
      // The next server may have another clock.
      const lost = (): void => clock.forget();
      const keys = new KindKeys(prefix, deployment, LEASES).orders().map(({ ids }) => ids);
      const server = target({ logger, deadlines, keys, lost });
      return { server, clock, deadlines, close: () => server.close() };
    },
    async ({ server, clock, deadlines }, options) => {
      await server.open();
      const { deployment } = options;
      const keys = new Map(
        kindsOf(options).map((kind) => [kind, new KindKeys(prefix, deployment, kind)]),
      );
      const backend = new RedisBackend(server, clock, keys);
      return {
        backend,
        ...(server.isCluster && { newWrites: () => bucketWrites(backend) }),
        mailboxes: () => new RedisMailboxes(server, (id) => backend.keysOf(LEASES, id).row),
        deadlines,
        // A Cluster has many memories, and no walk over all its keys.
        ...(!server.isCluster && {
          forgetAll: () => unlink(server, `${prefix}:${deployment}:*`),
          room: async () => roomOf(await server.send('', ['INFO', 'memory'])),
        }),
      };
    },
  );

/**
 * The writes of a view of a Cluster: those of each bucket make trips for themselves. What is in one bucket is on one
 * node, so a node that is away delays and fails only what is written to its own buckets.
 */
function bucketWrites(backend: RedisBackend): Writes {
  const buckets = new Map<string, TurnWrites>();
  return {
    write(write) {
      const { wakes: bucket } = backend.keysOf(write.kind, write.id);
      let writes = buckets.get(bucket);
      if (writes === undefined) buckets.set(bucket, (writes = new TurnWrites(backend)));
      return writes.write(write);
    },
    async settled() {
      for (const writes of buckets.values()) await writes.settled();
    },
  };
}

/** Removes all keys of a pattern, page by page: other commands run in between. */
async function unlink(server: RedisServer, pattern: string): Promise<void> {
  let cursor = '0';
  do {
    const page = await server.send('', ['SCAN', cursor, 'MATCH', pattern, 'COUNT', SCANNED]);
    const [next, keys] = page as readonly [string, readonly string[]];
    if (keys.length > 0) await server.send('', ['UNLINK', ...keys]);
    cursor = next;
  } while (cursor !== '0');
}

/** Seconds and microseconds since 1970. */
function timeOf(reply: Reply): number {
  const [seconds, micros] = (reply as readonly Reply[]).map(Number) as [number, number];
  return seconds * 1_000 + Math.floor(micros / 1_000);
}

/** `reply`: that of `INFO memory`. `maxmemory:0`: there is no limit. What clients are sending is not kept. */
function roomOf(reply: Reply): StoreRoom | undefined {
  const facts = factsOf(reply);
  const [used, sent = '0', most] = ['used_memory', 'mem_clients_normal', 'maxmemory'].map((name) =>
    facts.get(name),
  );
  return used === undefined
    ? undefined
    : { used: Number(used) - Number(sent), size: Number(most) || Infinity };
}
