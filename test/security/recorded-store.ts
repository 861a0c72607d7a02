/**
 * Durable stores that a test can search: everything that the instances asked of the store, every byte that went over
 * the wire to its server and back, and all that the files of SQLite hold in the end.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { isAvailable, serverKinds, startServer, type ServerKind } from '../kit/servers/index.ts';
import { watchedStore, type WatchedStore } from '../kit/watched-store.ts';
import { temporaryFolder } from '../kit/temporary.ts';

export const recordedKinds = ['sqlite', ...serverKinds.filter(isAvailable)] as const;
export type RecordedKind = (typeof recordedKinds)[number];

export interface Recorded {
  /** One for each instance. */
  open(): WatchedStore;
  readonly opened: readonly WatchedStore[];
  /** Records, logs, markers, mailboxes: what was asked, sent and kept. */
  everything(): Promise<Buffer>;
}

export async function recordedStore(kind: RecordedKind): Promise<Recorded> {
  const opened: WatchedStore[] = [];
  const { make, kept } = kind === 'sqlite' ? inFile() : await onServer(kind);
  return {
    opened,
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
  return { make: () => make(url), kept: async () => wire.bytes() };
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

function filesIn(folder: string): Buffer[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path));
}
