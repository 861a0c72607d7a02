/** Two processes on one store: a client speaks through one of them, and the owner of its session, the other, dies. */
import { describe, expect, test } from 'vitest';
import type { RawClient, RawResponse } from '../../src/testing/index.ts';
import { durableKinds, sharedDeployment, type DurableKind } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { clientOf, count, deployment, kill, textOf } from './deployment.ts';

/**
 * Each owner that is lost costs a call that may run twice one more run. A busy machine may stop a process for seconds,
 * and no process of these tests may lose its lease by that. A killed owner is found dead sooner than its lease ends.
 */
const LONG_LEASE_MS = 30_000;

/** `owner` never answers `pay` and `look`; the other process does. The client speaks through the other. */
async function relayed(kind: DurableKind, protocolVersion: string, leaseMs: number) {
  const env = { SOJOURN_LEASE_MS: String(leaseMs) };
  const { start, happened } = deployment(sharedDeployment(kind));
  const [owner, other] = await Promise.all([start(env), start({ ANSWERS: 'yes', ...env })]);
  const near = clientOf(owner.url);
  await near.initialize({ protocolVersion });
  const client = clientOf(other.url, near);
  await client.call('tools/list');
  expect(await count(client)).toBe('1 restored false');
  const call = async (name: string, id = `${name}-1`): Promise<RawResponse> => {
    const stream = await client.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } });
    await until(() => happened().includes(name), { what: `${name} to run` });
    return stream;
  };
  return { owner, other, client, call, happened };
}

const answerOf = async (stream: RawResponse): Promise<{ id?: unknown; result?: unknown; error?: unknown }> => {
  await stream.untilEnd();
  expect(stream.ending).toBe('complete');
  const messages = stream.events.flatMap(({ message }) => (message === undefined ? [] : [message]));
  expect(messages.length).toBe(1);
  return messages[0] as object;
};

const sessions = durableKinds.flatMap((kind) =>
  ['2025-11-25', '2025-06-18'].map((version) => [version, kind] as const),
);

describe.each(sessions)('a session of %s on the store %s whose owner is killed', (version, kind) => {
  test('answers a call that may run twice in the response that its client is reading', async () => {
    const { owner, client, call, happened } = await relayed(kind, version, LONG_LEASE_MS);
    const stream = await call('look');
    await kill(owner.cli);
    const answer = await answerOf(stream);
    expect([answer.id, textOf(answer)]).toEqual(['look-1', 'look done']);
    expect(happened()).toEqual(['look', 'look']);
    expect(await count(client)).toBe('2 restored true');
  });

  test('says of a call that may not, in the same response, that it may have run; it runs once', async () => {
    const { owner, client, call, happened } = await relayed(kind, version, LONG_LEASE_MS);
    const stream = await call('pay');
    await kill(owner.cli);
    expect(await answerOf(stream)).toMatchObject({
      id: 'pay-1',
      error: { code: -32000, data: { reason: 'owner_lost', mayHaveRun: true } },
    });
    expect(happened()).toEqual(['pay']);
    expect(await count(client)).toBe('2 restored true');
  });

  test('keeps the GET stream that its client has open through the other process', async () => {
    const { owner, client } = await relayed(kind, version, LONG_LEASE_MS);
    const get = await client.get();
    if (version === '2025-11-25') await get.next();
    await kill(owner.cli);
    expect(await count(client)).toBe('2 restored true');
    await client.call('tools/call', { name: 'announce', arguments: {} });
    expect(await get.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });
    expect(get.ending).toBeUndefined();
  });
});

/** Short enough to wait for, and long enough that a busy machine seldom holds a process up for as long. */
const LEASE_MS = 1_500;

test.each(durableKinds)(
  'on %s an owner that is frozen past its lease is taken over; awake again it does nothing for that session',
  async (kind) => {
    const { owner, other, client, call, happened } = await relayed(kind, '2025-11-25', LEASE_MS);
    const stream = await call('pay');
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
