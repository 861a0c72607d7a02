/** Stores with a primary and a replica, whose primary is killed so that the replica takes its place. */
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { namesReplica, startPostgresPair, startSentinelPair } from '../kit/servers/fail-over.ts';
import { until } from '../kit/until.ts';
import { type BackingStore, SERVER_ARGS } from './backing-store.ts';

export interface FailOverStore extends BackingStore {
  readonly title: string;
  /** Resolves when clients can find the replica as the primary. */
  failOver(): Promise<void>;
}

export type FailOverKind = 'redis' | 'postgres';
const PATIENCE = { timeoutMs: 30_000 };

export const openFailOverStore = (kind: FailOverKind): Promise<FailOverStore> =>
  kind === 'redis' ? openSentinelPair() : openPostgresPair();

const unsupported = (): Promise<never> => Promise.reject(new Error('this store can only fail over'));

/** The instances ask the sentinel for the primary. */
async function openSentinelPair(): Promise<FailOverStore> {
  const args = SERVER_ARGS.redis;
  const pair = await startSentinelPair(args);
  const { primary, sentinel, close } = pair;
  return {
    kind: 'redis',
    title: 'the primary killed; Sentinel promotes its replica',
    how: ['redis', ...args, 'with a replica, behind Sentinel'].join(' '),
    links: [],
    reach: () => ({ args: [], env: { SENTINEL: String(sentinel) } }),
    away: unsupported,
    freeze: unsupported,
    slow: unsupported,
    async failOver() {
      await primary.killed();
      await until(() => namesReplica(pair), PATIENCE);
    },
    close,
  };
}

/** The instances connect to a proxy, which leads to the primary, as the page of the store recommends. */
async function openPostgresPair(): Promise<FailOverStore> {
  const args = SERVER_ARGS.postgres;
  const { primary, replica, promote, close } = await startPostgresPair(args);
  const target = { port: primary.port };
  const proxy = await createFaultProxy(target);
  return {
    kind: 'postgres',
    title: 'the primary killed; its synchronous standby promoted, and the proxy before them switched',
    how: ['postgres', ...args, 'with a synchronous standby, behind a proxy'].join(' '),
    links: [proxy],
    reach: () => ({ args: ['--store', primary.url.replace(`:${primary.port}`, `:${proxy.port}`)] }),
    away: unsupported,
    freeze: unsupported,
    slow: unsupported,
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
