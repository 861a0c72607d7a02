/** Servers that crash, freeze or are cut off. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { startServer, type ServerKind, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import type { View } from './contract/view.ts';
import { announce, FENCE, ME, OTHER, recordOf } from './views.ts';

export const AWAY = { code: 'STORE_UNAVAILABLE', status: 503 };

/** One call of each kind. */
export const ALL_CALLS: Readonly<Record<string, (view: View) => unknown>> = {
  read: ({ records }) => records.read('s'),
  create: ({ records }) => records.create(recordOf('new')),
  claim: ({ records }) => records.claim('other', FENCE, OTHER),
  save: ({ records }) => records.save('s', FENCE, { head: 'info' }),
  release: ({ records }) => records.save('released', FENCE, { release: true }),
  end: ({ records }) => records.end('ended', FENCE, 'deleted'),
  mark: ({ records }) =>
    records.append({ id: 's', fence: FENCE, stream: null, mark: { name: '1', stream: 'p' } }),
  list: ({ records }) => records.list(10),
  count: ({ records }) => records.count(),
  countOf: ({ records }) => records.countOf('share'),
  oldest: ({ records }) => records.oldest('share', 10),
  endedOf: ({ records }) => records.endedOf('share'),
  due: ({ records }) => records.due(10),
  append: ({ records }) =>
    records.append({ id: 's', fence: FENCE, stream: 'q', from: 0, events: ['1'] }),
  replay: ({ records }) => records.replay('s', 'p', -1),
  lease: ({ instances }) => instances.read(ME),
  leases: ({ instances }) => instances.list(),
  renew: ({ instances }) => instances.renew(ME, 'serving'),
  send: ({ instances }) => instances.send(ME, OTHER, { kind: 'call' }),
  publish: ({ instances }) => instances.publish(ME, { kind: 'event' }),
  secret: ({ secret }) => secret('one'),
};

/** Uses every part: records, logs, leases, mailboxes, secrets. Only the records stay. */
export async function useAll(view: View): Promise<void> {
  for (const id of ['s', 'other', 'released', 'ended'])
    await view.records.create(recordOf(id, { fields: { a: '1' } }));
  await announce(view, ME);
  const { messages } = await announce(view, OTHER);
  for (const [name, call] of Object.entries(ALL_CALLS))
    expect(['fenced', 'gone', 'suspect', false], name).not.toContain(await call(view));
  const unmark = { name: '1', stream: 'p' };
  expect(await view.records.append({ id: 's', fence: FENCE, stream: null, unmark })).toBe(
    'written',
  );
  await until(() => messages.length === 2);
  await view.secret('short', 1);
  await view.records.trim();
  for (const id of [ME, OTHER]) await view.instances.leave(id);
}

/** The arguments of servers that keep what they have acknowledged when they are killed. */
export const KEEPS_DATA: Readonly<Record<ServerKind, readonly string[]>> = {
  redis: ['--appendonly', 'yes', '--appendfsync', 'always'],
  postgres: [],
};

/** Removed when the test is over. */
export async function ownServer(kind: ServerKind, ...args: string[]): Promise<TestServer> {
  const server = await startServer(kind, { args });
  onTestFinished(() => server.close());
  return server;
}

/** A link to a server that can be slow, silent or cut. */
export async function proxied(server: TestServer) {
  const proxy = await createFaultProxy({ port: server.port });
  onTestFinished(() => proxy.close());
  return { proxy, url: server.url.replace(`:${server.port}`, `:${proxy.port}`) };
}

/** Every thread of the process is stopped. */
export async function frozen(server: TestServer): Promise<void> {
  server.pause();
  const tasks = `/proc/${server.pid}/task`;
  if (!existsSync(tasks)) return;
  await until(() =>
    readdirSync(tasks).every((task) => / T /.test(readFileSync(`${tasks}/${task}/stat`, 'latin1'))),
  );
}

/** What needs no answer of the server takes no more turns of the event loop, on a busy machine too. */
export const TURNS = 50;

/** A call that must fail, and whether it has. */
export function failing(work: () => unknown): { readonly over: boolean } {
  const call = { over: false };
  void expect((async () => work())())
    .rejects.toMatchObject(AWAY)
    .then(() => (call.over = true));
  return call;
}
