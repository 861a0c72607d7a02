/** Stores with a primary and a replica, whose primary is killed so that the replica takes its place. */
import { createFaultProxy } from '../kit/fault-proxy.ts';
import type { ServerKind } from '../kit/servers/index.ts';
import { namesReplica, startPostgresPair, startSentinelPair } from '../kit/servers/fail-over.ts';
import { until } from '../kit/until.ts';
import { type ReachableStore, SERVER_ARGS } from './backing-store.ts';

export interface FailOverStore extends ReachableStore {
  /** Resolves when clients can find the replica as the primary. */
  failOver(): Promise<void>;
}

const PATIENCE = { timeoutMs: 30_000 };

export const openFailOverStore = (kind: ServerKind): Promise<FailOverStore> =>
  kind === 'redis' ? openSentinelPair() : openPostgresPair();

/** The instances ask the sentinel for the primary. */
async function openSentinelPair(): Promise<FailOverStore> {
  const pair = await startSentinelPair(SERVER_ARGS.redis);
  const { primary, sentinel, close } = pair;
  return {
    kind: 'redis',
    links: [],
    reach: () => ({ env: { SENTINEL: String(sentinel) } }),
    async failOver() {
      await primary.killed();
      await until(() => namesReplica(pair), PATIENCE);
    },
    close,
  };
}

/** The instances connect to a proxy, which leads to the primary, as the page of the store recommends. */
async function openPostgresPair(): Promise<FailOverStore> {
  const { primary, replica, promote, close } = await startPostgresPair(SERVER_ARGS.postgres);
  const target = { port: primary.port };
  const proxy = await createFaultProxy(target);
  return {
    kind: 'postgres',
    links: [proxy],
    reach: () => ({ url: primary.url.replace(`:${primary.port}`, `:${proxy.port}`) }),
    async failOver() {
      await primary.killed();
      await promote();
      target.port = replica.port;
      proxy.cutAll();
    },
    async close() {
      await proxy.close();
      await close();
    },
  };
}
