/**
 * The store of a chaos run: a real server as its page recommends to run it, with a faulty link from each instance to
 * it, or a SQLite file.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockFile } from '../../src/cli/prove/file-lock.ts';
import { createFaultProxy, type FaultProxy } from '../kit/fault-proxy.ts';
import { type ServerKind, startServer, type TestServer } from '../kit/servers/index.ts';

export const STORES = ['sqlite', 'redis', 'postgres'] as const;
export type StoreKind = (typeof STORES)[number];

export const INSTANCES = ['a', 'b', 'c'];

/** How the servers are run: nothing that was acknowledged may be lost when one is killed. */
export const SERVER_ARGS: Readonly<Record<ServerKind, readonly string[]>> = {
  redis: ['--appendonly', 'yes', '--appendfsync', 'always'],
  postgres: ['-c', 'client_connection_check_interval=1s'],
};

/** What a deployment needs of its store. */
export interface ReachableStore {
  readonly kind: StoreKind;
  /** Between the n-th instance and the store; none where it is a file. */
  readonly links: readonly FaultProxy[];
  /** How the n-th instance reaches it: a URL, or variables of which its module makes the store. */
  reach(n: number): { readonly url?: string; readonly env?: Readonly<Record<string, string>> };
  close(): Promise<void>;
}

export interface BackingStore extends ReachableStore {
  /** Out of reach for so long: killed, stopped, frozen; or, for a file, locked by another process. */
  away(ms: number, how: Outage): Promise<void>;
  /** Every operation takes longer, for so long. */
  slow(ms: number): Promise<void>;
}

export const OUTAGES = ['killed', 'stopped', 'frozen'] as const;
export type Outage = (typeof OUTAGES)[number];

const SLOW_MS = 25;

export function openBackingStore(kind: StoreKind): Promise<BackingStore> {
  return kind === 'sqlite' ? openFile() : openServer(kind);
}

async function openServer(kind: ServerKind): Promise<BackingStore> {
  const args = SERVER_ARGS[kind];
  const server: TestServer = await startServer(kind, { args });
  const links = await Promise.all(INSTANCES.map(() => createFaultProxy({ port: server.port })));
  return {
    kind,
    links,
    reach: (n) => ({
      url: server.url.replace(`:${server.port}`, `:${links[n]?.port ?? server.port}`),
    }),
    async away(ms, how) {
      if (how === 'frozen') server.pause();
      else await (how === 'killed' ? server.killed() : server.stop());
      await pause(ms);
      if (how === 'frozen') server.resume();
      else await server.start();
    },
    async slow(ms) {
      for (const link of links) link.delay(SLOW_MS);
      await pause(ms);
      for (const link of links) link.delay(0);
    },
    async close() {
      await Promise.all(links.map((link) => link.close()));
      await server.close();
    },
  };
}

async function openFile(): Promise<BackingStore> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-chaos-'));
  const path = join(folder, 'sessions.db');
  const locked = (ms: number): Promise<void> => lockFile(path, ms);
  return {
    kind: 'sqlite',
    links: [],
    reach: () => ({ url: `sqlite:${path}` }),
    away: locked,
    async slow(ms) {
      for (let passed = 0; passed < ms; passed += 2 * SLOW_MS) {
        await locked(SLOW_MS);
        await pause(SLOW_MS);
      }
    },
    async close() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
