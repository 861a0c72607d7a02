/**
 * Two living instances between which messages do not pass: another key half way through a rollout, an account that may
 * not send. Requests to the sessions of the other instance end, and the log names the peer and the causes.
 */
import pg from 'pg';
import { createClient } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { postgres } from '../../packages/postgres/src/index.ts';
import { redis } from '../../packages/redis/src/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { serveMember, type Member } from '../kit/fleet.ts';
import { say, tool } from '../kit/lab.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';

const K = 'first-key-of-the-deployment-00000';
const N = 'second-key-of-the-deployment-0000';

/** Long enough that a busy machine keeps its lease, and twice that is how long a relayed call waits at least. */
const LEASE_MS = 2_000;
const WAIT_MS = 1_000;
const TIMEOUT = { timeout: 90_000 };

let names = 0;

interface Side {
  readonly store: Store;
  readonly keys: string[];
}

async function pair(
  first: Side,
  second: () => Promise<Side> | Side,
): Promise<{ a: Member; b: Member }> {
  names += 1;
  const options = { deployment: `stuck-${names}`, leaseMs: LEASE_MS, maxWaitMs: WAIT_MS };
  const a = await serveMember({ ...options, store: first.store, secrets: first.keys });
  const { store, keys } = await second();
  return { a, b: await serveMember({ ...options, store, secrets: keys }) };
}

/** A session lives on `a`, and its client is connected to `b`. */
async function refuses(
  { a, b }: { a: Member; b: Member },
  stop: () => Promise<unknown> = async () => {},
): Promise<void> {
  const client = await a.openSession({}, { timeoutMs: 60_000 });
  expect(await say(client, 'count')).toBe('1');
  const far = b.join(client, { timeoutMs: 60_000 });
  await stop();

  // It was sent, and no instance can tell whether it arrived. Its client must not send it again.
  const [first, list] = await Promise.all([far.call(...tool('count')), far.call('tools/list')]);
  expect(first.message).toMatchObject({
    id: expect.any(Number) as number,
    error: { data: { reason: 'owner_unreachable', mayHaveRun: true } },
  });
  expect(list.message).toMatchObject({ error: { data: { reason: 'owner_unreachable' } } });
  // From then on nothing is sent that cannot arrive.
  const second = await far.call(...tool('count'));
  expect(second.message).toMatchObject({
    error: { data: { reason: 'owner_unreachable', mayHaveRun: false } },
  });
  const [line] = b.log.matching(/answers no message of this one/, 'fatal');
  expect(line?.fields).toMatchObject({ instance: a.id });
  expect(line?.message).toMatch(/secrets.*PUBLISH.*INSERT.*queue/s);
  // The calls that ended were taken back: the owner runs them no more.
  expect(await say(client, 'count')).toBe('2');
}

describeWithServer('redis', 'between two instances on Redis', (server) => {
  test(
    'with another key nothing is relayed: calls end, and each side has few lines',
    TIMEOUT,
    async () => {
      const members = await pair({ store: redis(server().url), keys: [K] }, () => ({
        store: redis(server().url),
        keys: [N],
      }));
      const ready = async ({ port }: Member) =>
        (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
      const { a, b } = members;
      // The new one stops the rollout. The old one stays, although the new one refuses it too.
      expect([await ready(a), await ready(b)]).toEqual([200, 503]);
      expect(b.endpoint.health().reason).toMatch(/secrets/);
      await refuses(members);
      expect([await ready(a), await ready(b)]).toEqual([200, 503]);
      const refused = a.log.matching(/^A message between instances was refused/, 'error');
      expect(refused.length).toBeGreaterThan(0);
      // One, and the number of the others, every ten seconds.
      expect(refused.length).toBeLessThan(8);
    },
  );

  test(
    'an account that may not PUBLISH any more: calls end, and the log says why',
    TIMEOUT,
    async () => {
      const admin = createClient({ url: server().url });
      await admin.connect();
      onTestFinished(() => admin.destroy());
      await admin.sendCommand(['ACL', 'SETUSER', 'silent', 'on', '>secret', '~*', '&*', '+@all']);
      const url = new URL(server().url);
      [url.username, url.password] = ['silent', 'secret'];
      const members = await pair({ store: redis(server().url), keys: [K] }, () => ({
        store: redis(url.href),
        keys: [K],
      }));
      await refuses(members, () => admin.sendCommand(['ACL', 'SETUSER', 'silent', '-publish']));
      const [line] = members.b.log.matching(/answers no message of this one/, 'fatal');
      expect(line?.fields).toMatchObject({
        reason: expect.stringMatching(/publish/i) as string,
      });
      // Messages pass again, and with them calls.
      await admin.sendCommand(['ACL', 'SETUSER', 'silent', '+publish']);
      const client = await members.a.openSession({}, { timeoutMs: 60_000 });
      const far = members.b.join(client, { timeoutMs: 60_000 });
      await until(async () => (await say(far, 'count')) !== undefined);
    },
  );

  test(
    'an instance is ready that older ones accept, and one whose predecessors have gone',
    TIMEOUT,
    async () => {
      const side = (keys: string[]): Side => ({ store: redis(server().url), keys });
      const { a, b } = await pair(side([K]), () => side([K, N]));
      const isReady = async ({ port }: Member) =>
        (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200;
      await until(() => isReady(b), { what: 'the second to be accepted' });
      expect(await isReady(a)).toBe(true);
      const other = await pair(side([K]), () => side([N]));
      expect(await isReady(other.b)).toBe(false);
      await other.a.endpoint.close({ timeoutMs: 0 });
      await until(() => isReady(other.b), { what: 'the second to be ready alone' });
    },
  );
});

describeWithServer('postgres', 'between two instances on PostgreSQL', (server) => {
  test(
    'an instance whose role may not INSERT into messages is not ready beside another one',
    TIMEOUT,
    async () => {
      const admin = new pg.Client(server().url);
      await admin.connect();
      onTestFinished(() => admin.end());
      const url = new URL(server().url);
      url.username = 'mute';
      const { a, b } = await pair({ store: postgres(server().url), keys: [K] }, async () => {
        await admin.query(`CREATE ROLE mute LOGIN; GRANT USAGE ON SCHEMA sojourn TO mute;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sojourn TO mute;
        REVOKE INSERT ON sojourn.messages FROM mute`);
        return { store: postgres(url.href), keys: [K] };
      });
      expect([a.endpoint.health().ready, b.endpoint.health().ready]).toEqual([true, false]);
      expect(b.endpoint.health().reason).toMatch(/INSERT into messages on PostgreSQL/);
    },
  );
});
