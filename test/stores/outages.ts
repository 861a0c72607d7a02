/** Servers that crash, freeze or are cut off, and the calls to a store during that time. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import type { View } from '../store-contract/view.ts';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { startServer, type ServerKind, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { FENCE, ME, recordOf } from './views.ts';

export const LEASE_MS = 900;
/** Two thirds of the lease, and two seconds. */
export const BOUND_MS = (LEASE_MS * 2) / 3 + 2_000;
/** A busy machine is late. */
export const SLACK_MS = 10_000;
export const AWAY = { code: 'STORE_AWAY', status: 503 };

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
  await until(() => readdirSync(tasks).every((task) => / T /.test(readFileSync(`${tasks}/${task}/stat`, 'latin1'))));
}

/** What needs no answer of the server takes no more turns of the event loop, on a busy machine too. */
const TURNS = 50;

/** What was asked before has been sent, and calls that need no answer are over. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await new Promise((next) => setImmediate(next));
}

/** How long a failure took. */
export async function failsWithin(work: () => unknown): Promise<number> {
  const began = performance.now();
  await expect((async () => work())()).rejects.toMatchObject(AWAY);
  return performance.now() - began;
}

/** A call that must fail, and whether it has. */
export function failing(work: () => unknown): { readonly over: boolean } {
  const call = { over: false };
  void expect((async () => work())())
    .rejects.toMatchObject(AWAY)
    .then(() => (call.over = true));
  return call;
}

/** Whether a call fails without an answer of the server, and without a wait for one. */
export async function failsAtOnce(work: () => unknown): Promise<boolean> {
  const call = failing(work);
  await turns();
  return call.over;
}

/** One call of each kind. */
export const asked = (view: View): Record<string, () => unknown> => ({
  read: () => view.records.read('s'),
  create: () => view.records.create(recordOf('new')),
  claim: () => view.records.claim('s', FENCE, ME),
  save: () => view.records.save('s', FENCE, { head: 'info' }),
  release: () => view.records.save('t', FENCE, { release: true }),
  end: () => view.records.end('other', FENCE, 'deleted'),
  mark: () => view.records.append({ id: 's', fence: FENCE, stream: null, mark: { name: '1', stream: 'p' } }),
  list: () => view.records.list(10),
  due: () => view.records.due(10),
  append: () => view.records.append({ id: 's', fence: FENCE, stream: 'q', from: 0, events: ['1'] }),
  replay: () => view.records.replay('s', 'p', -1),
  lease: () => view.instances.read(ME),
  leases: () => view.instances.list(),
  send: () => view.instances.send(ME, 'other', { kind: 'call' }),
  publish: () => view.instances.publish(ME, { kind: 'event' }),
  renew: () => view.instances.renew(ME, 'serving'),
  secret: () => view.secret('one'),
});
