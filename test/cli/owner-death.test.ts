// @module-tag matrix
/** Two processes on one store: a client speaks through one of them, and the owner of its session, the other, dies. */
import { expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { durableKinds, sharedDeployment, type DurableKind, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { clientOf, count, deployment, kill, textOf } from './deployment.ts';

useSharedStores();

/**
 * Each owner that is lost costs a call that may run twice one more run. A busy machine may stop a process for seconds,
 * and no process of these tests may lose its lease by that. A killed owner is found dead sooner than its lease ends.
 */
const LONG_LEASE_MS = 30_000;

/** `owner` never answers `pay` and `look`; the other process does. Clients speak through the other. */
async function two(kind: DurableKind, leaseMs: number) {
  const env = { SOJOURN_LEASE_MS: String(leaseMs) };
  const { start, happened } = deployment(sharedDeployment(kind));
  const [owner, other] = await Promise.all([start(env), start({ ANSWERS: 'yes', ...env })]);
  /** A client whose session has its copy at `owner`. */
  const relayed = async (protocolVersion: string): Promise<RawClient> => {
    const near = clientOf(owner.url);
    await near.initialize({ protocolVersion });
    const client = clientOf(other.url, near);
    await client.call('tools/list');
    expect(await count(client)).toBe('1 restored false');
    return client;
  };
  const call = async (client: RawClient, name: string, id = `${name}-1`): Promise<RawResponse> => {
    const stream = await client.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } });
    await until(() => happened().includes(name), { what: `${name} to run` });
    return stream;
  };
  return { owner, other, relayed, call, happened };
}

const answerOf = async (stream: RawResponse): Promise<{ id?: unknown; result?: unknown; error?: unknown }> => {
  await stream.untilEnd();
  expect(stream.ending).toBe('complete');
  const messages = stream.events.flatMap(({ message }) => (message === undefined ? [] : [message]));
  expect(messages.length).toBe(1);
  return messages[0] as object;
};

/** No store looks at the version. The test of a frozen owner has 2025-11-25 on each of them. */
const versions = durableKinds.map((kind, n) => [n % 2 === 0 ? '2025-11-25' : '2025-06-18', kind] as const);

test.each(versions)(
  'sessions of %s on the store %s whose owner is killed keep their calls and streams',
  async (version, kind) => {
    const { owner, relayed, call, happened } = await two(kind, LONG_LEASE_MS);
    const [looking, paying, listening] = await Promise.all([relayed(version), relayed(version), relayed(version)]);
    const look = await call(looking, 'look');
    const pay = await call(paying, 'pay');
    const get = await listening.get();
    if (version === '2025-11-25') await get.next();
    await kill(owner.cli);

    // A call that may run twice is answered in the response that its client is reading.
    const answer = await answerOf(look);
    expect([answer.id, textOf(answer)]).toEqual(['look-1', 'look done']);
    expect(happened().filter((name) => name === 'look')).toEqual(['look', 'look']);
    expect(await count(looking)).toBe('2 restored true');

    // The same response says of a call that may not, that it may have run. It runs once.
    expect(await answerOf(pay)).toMatchObject({
      id: 'pay-1',
      error: { code: -32000, data: { reason: 'owner_lost', mayHaveRun: true } },
    });
    expect(happened().filter((name) => name !== 'look')).toEqual(['pay']);
    expect(await count(paying)).toBe('2 restored true');

    // The GET stream stays open through the other process.
    expect(await count(listening)).toBe('2 restored true');
    await listening.call('tools/call', { name: 'announce', arguments: {} });
    expect(await get.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
    expect(get.ending).toBeUndefined();
  },
);

/** Short enough to wait for, and longer than a busy machine holds a process up. */
const LEASE_MS = 4_000;

test.each(durableKinds)(
  'on %s an owner that is frozen past its lease is taken over; awake again it does nothing for that session',
  { timeout: 60_000 },
  async (kind) => {
    const { owner, other, relayed, call, happened } = await two(kind, LEASE_MS);
    const client = await relayed('2025-11-25');
    const stream = await call(client, 'pay');
    owner.cli.kill('SIGSTOP');
    expect(await answerOf(stream)).toMatchObject({ error: { data: { reason: 'owner_lost', mayHaveRun: true } } });
    expect(await count(client)).toBe('2 restored true');
    owner.cli.kill('SIGCONT');
    const back: RawClient = clientOf(owner.url, client);
    // What it does not own any more it relays.
    await until(async () => (await back.call('ping')).response.status === 200, {
      what: 'the frozen process to be back',
    });
    expect(await count(back)).toBe('3 restored true');
    expect(await count(clientOf(other.url, client))).toBe('4 restored true');
    expect(happened()).toEqual(['pay']);
  },
);
