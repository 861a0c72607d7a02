// @module-tag matrix
/** Keys of a session in Redis are deleted or evicted: what requests get, before and after its owner is killed. */
import { expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { keysOf, openRedis } from '../stores/redis-views.ts';
import { clientOf, count, deployment, kill, textOf } from './deployment.ts';

const USER = { headers: { 'x-user': 'ada' } };

/** The row of a session, and its log. */
const KEYS = ['row', 'log'] as const;
type Key = (typeof KEYS)[number];

/** The status, and the reason of an error. */
async function outcomeOf(sent: Promise<RawResponse>): Promise<unknown[]> {
  const response = await sent;
  const streams = response.header('content-type') === 'text/event-stream';
  if (!streams) return [response.status];
  await response.untilEnd();
  const answer = response.events.findLast(({ message }) => message !== undefined)?.message;
  const { data } =
    (answer as { error?: { data?: { reason?: string; mayHaveRun?: boolean } } } | undefined)?.error ?? {};
  return [response.status, ...(data === undefined ? [] : [data.reason, data.mayHaveRun])];
}

const announce = ['tools/call', { name: 'announce', arguments: {} }] as const;
const ping = { jsonrpc: '2.0', id: 'ping-1', method: 'ping' };

type Name = 'post' | 'resume' | 'get' | 'delete';

const REQUESTS: Readonly<Record<Name, (client: RawClient, lastEventId: string) => Promise<unknown[]>>> = {
  post: (client) => outcomeOf(client.post(ping)),
  /** Of the call that ran when the key disappeared. */
  resume: (client, lastEventId) => outcomeOf(client.get({ lastEventId })),
  async get(client) {
    const { status } = await client.get();
    return [status];
  },
  delete: (client) => outcomeOf(client.delete()),
};
const NAMES = Object.keys(REQUESTS) as Name[];

const MISSING = { post: [404], resume: [200, 'session_not_found', true], get: [404], delete: [404] };
const EXPECTED: Readonly<Record<Key, Readonly<Record<Name, unknown[]>>>> = {
  row: MISSING,
  log: { post: [200], resume: [200, 'answer_not_kept', true], get: [200], delete: [200] },
};

let deployments = 0;

describeWithServer('redis', 'a session in Redis that loses one of its keys', (server) => {
  async function two() {
    const name = `evicted-${(deployments += 1)}`;
    const { start } = deployment({ store: server().url, env: { SOJOURN_NAME: name }, server: 'user-server.mjs' });
    const [owner, other] = await Promise.all([start(), start({ ANSWERS: 'yes' })]);
    const ask = await openRedis(server().url);
    const open = async (): Promise<RawClient> => {
      const client = clientOf(owner.url, undefined, USER);
      await client.initialize({ protocolVersion: '2025-11-25' });
      await client.call('tools/list');
      return client;
    };
    const drop = (client: RawClient, key: Key) =>
      ask('DEL', keysOf(name, client.sessionId ?? '', { name: 'sessions' })[key]);
    return { owner, open, drop, elsewhere: (client: RawClient) => clientOf(other.url, client, USER) };
  }

  test('and then its owner: each request gets what remains, or says that the session is unknown; none gets 403', async () => {
    const { owner, open, drop, elsewhere } = await two();
    const cases: Array<{ key: Key; name: Name; client: RawClient; lastEventId: string }> = [];
    for (const key of KEYS) {
      for (const name of NAMES) {
        const client = await open();
        const pay = { jsonrpc: '2.0', id: 'pay-1', method: 'tools/call', params: { name: 'pay' } };
        const { id: lastEventId = '' } = await (await client.post(pay)).next();
        cases.push({ key, name, client: elsewhere(client), lastEventId });
        await drop(client, key);
      }
    }
    await kill(owner.cli);
    for (const { key, name, client, lastEventId } of cases)
      expect(await REQUESTS[name](client, lastEventId), `${name} without ${key}`).toEqual(EXPECTED[key][name]);
    for (const { key, name, client } of cases.filter((one) => one.name !== 'delete'))
      expect(await REQUESTS.post(client, ''), `after ${name} without ${key}`).toEqual(EXPECTED[key].post);
  });

  test('and its owner lives: other instances do not know it any more, and its owner until it writes to the row', async () => {
    const { open, drop, elsewhere } = await two();
    for (const name of NAMES.filter((one) => one !== 'resume')) {
      const client = await open();
      await drop(client, 'row');
      expect(await REQUESTS[name](elsewhere(client), ''), name).toEqual([404]);
    }
    const client = await open();
    await drop(client, 'row');
    // Its owner may learn it from another write, while the request runs.
    expect([[404], [200, 'session_ended', true]]).toContainEqual(await REQUESTS.post(client, ''));
  });

  test('and then its owner: its GET stream continues without the log', async () => {
    const { owner, open, drop, elsewhere } = await two();
    const opened = await open();
    const before = await opened.get();
    expect(await count(opened)).toBe('1 restored false');
    await opened.call(...announce);
    await before.nextMessage();
    const { id: lastEventId } = before.events.findLast(({ id }) => id !== undefined) ?? {};
    await drop(opened, 'log');
    const client = elsewhere(opened);
    await kill(owner.cli);
    expect(await count(client)).toBe('2 restored true');
    const stream = await client.get({ lastEventId });
    expect(textOf((await client.call(...announce)).message)).toBe('announced');
    expect(await stream.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
    expect(await count(client)).toBe('3 restored true');
  });
});
