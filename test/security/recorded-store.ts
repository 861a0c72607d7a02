/**
 * Durable stores that a test can search: everything that the instances asked of the store, every byte that went over
 * the wire to its server, and all that the store holds in the end.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { createClient } from 'redis';
import { onTestFinished } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { isAvailable, serverKinds, startServer, type ServerKind, type TestServer } from '../kit/servers/index.ts';
import { watchedStore, type WatchedStore } from '../kit/watched-store.ts';
import { temporaryFolder } from '../kit/temporary.ts';

export const recordedKinds = ['sqlite', ...serverKinds.filter(isAvailable)] as const;
export type RecordedKind = (typeof recordedKinds)[number];

export interface Recorded {
  /** One for each instance. */
  open(): WatchedStore;
  /** Records, logs, markers, mailboxes: what was asked, sent and kept. */
  everything(): Promise<Buffer>;
}

export async function recordedStore(kind: RecordedKind): Promise<Recorded> {
  const opened: WatchedStore[] = [];
  const { make, kept } = kind === 'sqlite' ? inFile() : await onServer(kind);
  return {
    open() {
      const store = watchedStore({ durable: true, inProcess: false, inner: make() });
      opened.push(store);
      return store;
    },
    async everything() {
      const asked = opened.flatMap(({ calls }) => calls.map(({ call, args }) => `${call} ${textOf(args)}\n`));
      return Buffer.concat([Buffer.from(asked.join('')), ...(await kept())]);
    },
  };
}

/** Arguments as JSON; what JSON leaves out is a callback, or a text to be made later. */
function textOf(args: readonly unknown[]): string {
  return JSON.stringify(args, (key, value: unknown) =>
    key === 'requests' && typeof value === 'function' ? String((value as () => string)()) : value,
  );
}

interface Kept {
  make(): Store;
  kept(): Promise<Buffer[]>;
}

function inFile(): Kept {
  const folder = temporaryFolder();
  return { make: () => sqlite(join(folder, 'sessions.db')), kept: async () => filesIn(folder) };
}

async function onServer(kind: ServerKind): Promise<Kept> {
  const server = await startServer(kind);
  onTestFinished(() => server.close());
  const wire = await recordWire(server.port);
  const url = server.url.replace(`:${server.port}`, `:${wire.port}`);
  const make = { redis, postgres }[kind];
  return { make: () => make(url), kept: async () => [...wire.bytes(), ...(await dump(server))] };
}

/** A TCP proxy that keeps what passes, connection by connection. */
async function recordWire(target: number): Promise<{ port: number; bytes(): Buffer[] }> {
  const directions: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket): void => {
    const chunks: Buffer[] = [];
    directions.push(chunks);
    sockets.add(from);
    from.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      to.write(chunk);
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  };
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    pass(client, upstream);
    pass(upstream, client);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => directions.map((chunks) => Buffer.concat(chunks)),
  };
}

function dump(server: TestServer): Promise<Buffer[]> {
  return server.kind === 'redis' ? dumpRedis(server.url) : dumpPostgres(server.url);
}

async function dumpRedis(url: string): Promise<Buffer[]> {
  const client = createClient({ url });
  await client.connect();
  try {
    const kept: string[] = [];
    const readers: Record<string, (key: string) => Promise<unknown>> = {
      string: (key) => client.get(key),
      hash: (key) => client.hGetAll(key),
      list: (key) => client.lRange(key, 0, -1),
      set: (key) => client.sMembers(key),
      zset: (key) => client.zRange(key, 0, -1),
      stream: (key) => client.xRange(key, '-', '+'),
    };
    for await (const keys of client.scanIterator()) {
      for (const key of keys) {
        const type = await client.type(key);
        const read = readers[type];
        if (read === undefined) throw new Error(`a key of the type ${type}`);
        kept.push(`${key} ${JSON.stringify(await read(key))}\n`);
      }
    }
    return [Buffer.from(kept.join(''))];
  } finally {
    client.destroy();
  }
}

async function dumpPostgres(url: string): Promise<Buffer[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    );
    const kept: Buffer[] = [];
    for (const { name } of tables.rows) {
      const { rows } = await client.query<unknown[]>({ text: `SELECT * FROM ${name}`, rowMode: 'array' });
      kept.push(Buffer.from(`${name}\n`));
      for (const cell of rows.flat())
        kept.push(Buffer.isBuffer(cell) ? cell : Buffer.from(JSON.stringify(cell ?? null)));
    }
    return kept;
  } finally {
    await client.end();
  }
}

function filesIn(folder: string): Buffer[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path));
}
