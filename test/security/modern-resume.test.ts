/**
 * `resumeModernCalls`: no session guards the event ids of 2026-07-28 calls. No other user gets an answer with them, and
 * calls without a client are bounded.
 */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { callKey } from '../../src/eras/modern/call-records.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { callModern, MODERN, postModern } from '../kit/modern.ts';
import { scopesHeader, withScopes } from '../kit/scoped-server.ts';
import { serve, type ServeSettings } from '../kit/serve.ts';
import { durableKinds, useSharedStores } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { answerStored, callStored } from '../kit/watched-store.ts';
import { servePeeking } from './peeking-members.ts';

useSharedStores();

const OPTIONS: McpEndpointOptions = { resumeModernCalls: true, retryMs: 10_000 };
const NOT_KEPT = { error: { data: { reason: 'answer_not_kept', mayHaveRun: true } } };
const LOST = { error: { data: { reason: 'owner_lost', mayHaveRun: true } } };

/** Every caller is who they say they are. */
const auth: NonNullable<ServeSettings['auth']> = ({ 'x-user': sub }) => ({
  token: '',
  clientId: 'app',
  scopes: [],
  extra: { sub: String(sub) },
});
const as = (user: string) => ({ headers: { 'x-user': user } });

const comeBack = (client: RawClient, lastEventId: string | undefined, by: object): Promise<RawResponse> =>
  client.get({ version: MODERN, sessionId: null, ...(lastEventId !== undefined && { lastEventId }), ...by });

async function messageOf(response: RawResponse): Promise<unknown> {
  const message = await response.nextMessage();
  response.abort();
  return message;
}

describe.each(durableKinds)('on the store %s', (kind) => {
  /** Two instances, and a call of `by` that runs at the first. */
  async function open(by: object, settings: ServeSettings = { face: 'node', auth }, name = 'peek') {
    const { first, second, store, ran, waits, lose } = await servePeeking(kind, OPTIONS, settings);
    const call = await postModern(first.client(), 'tools/call', { name, arguments: {} }, by);
    const { id = '' } = await call.next();
    await until(() => ran.length === 1);
    await callStored(store);
    call.abort();
    return { here: first.client(), there: second.client(), id, ran, waits, lose, store };
  }

  test('another user gets nothing of a call, at its instance, at another one, and after a crash', async () => {
    const { here, there, id, ran, lose, waits } = await open(as('alice'));
    for (const client of [here, there]) {
      for (const mallory of [as('mallory'), as('Alice'), as('alice2')])
        expect(await messageOf(await comeBack(client, id, mallory))).toMatchObject(NOT_KEPT);
    }
    await lose();
    expect(await messageOf(await comeBack(there, id, as('mallory')))).toMatchObject(NOT_KEPT);
    expect(ran).toEqual(['first']);
    expect(textOf(await messageOf(await comeBack(there, id, as('alice'))))).toBe('second saw');
    waits.open();
  });

  test('a stored answer is for its user alone', async () => {
    const { there, id, lose, waits, store } = await open(as('alice'));
    waits.open();
    await answerStored(store);
    await lose();
    expect(await messageOf(await comeBack(there, id, as('mallory')))).toMatchObject(NOT_KEPT);
    expect(textOf(await messageOf(await comeBack(there, id, as('alice'))))).toBe('first saw');
  });

  test('guessed ids, and ids that resemble that of a running call, get the answer of an unknown id', async () => {
    const { here, id, waits } = await open(as('alice'));
    const secret = id.slice(0, 22);
    const call = id.slice(22);
    const guesses = [
      ...Array.from({ length: 50 }, () => randomBytes(16).toString('base64url')),
      ...Array.from(
        { length: 20 },
        (_, n) => `${secret.slice(0, n)}${secret[n] === 'A' ? 'B' : 'A'}${secret.slice(n + 1)}`,
      ),
      secret.toLowerCase() === secret ? secret.toUpperCase() : secret.toLowerCase(),
      callKey(secret, undefined).slice(0, 22),
    ].filter((guess) => guess !== secret);
    for (const guess of guesses)
      expect(await messageOf(await comeBack(here, `${guess}${call}`, as('alice')))).toMatchObject(NOT_KEPT);
    waits.open();
    expect(textOf(await messageOf(await comeBack(here, id, as('alice'))))).toBe('first saw');
  });

  test("a call's record is no session", async () => {
    const { here, id, store } = await open(as('alice'));
    const created = store.calls.filter(({ call }) => call === 'calls.create').map(({ args: [given] }) => given);
    expect(created).toHaveLength(1);
    const { id: record } = created[0] as { id: string };
    for (const sessionId of [record, id.slice(0, 22)]) {
      const response = await here.get({ sessionId, ...as('alice') });
      expect(response.status).toBe(404);
    }
  });

  test.each([
    ['fewer scopes', withScopes('read write'), withScopes('read')],
    ['another client id', withScopes('read', 'c'), withScopes('read', 'd')],
  ])('a lost call is owner_lost for a caller with %s, and runs for one with equal rights', async (_, before, after) => {
    const { there, id, ran, lose } = await open(before, { face: 'node', auth: scopesHeader });
    await lose();
    expect(await messageOf(await comeBack(there, id, after))).toMatchObject(LOST);
    expect(ran).toEqual(['first']);
    expect(textOf(await messageOf(await comeBack(there, id, before)))).toBe('second saw');
  });

  test('the store gets neither the secret nor the token, nor the query of the address', async () => {
    const settings: ServeSettings = {
      face: 'node',
      auth: () => ({ token: 'the-token', clientId: 'c', scopes: [], extra: { sub: 'a' } }),
    };
    const { id, store } = await open(
      { headers: { authorization: 'Bearer the-token', cookie: 'the-cookie' }, path: '/mcp?apiKey=the-key' },
      settings,
    );
    const written = JSON.stringify(store.calls.map(({ args }) => args));
    expect(written).toContain('peek');
    expect(written).not.toMatch(/the-token|the-cookie|the-key/);
    expect(written).not.toContain(id.slice(0, 22));
  });
});

describe('bounds', () => {
  async function open(options: McpEndpointOptions = {}) {
    const lab = createLab((server) => {
      server.registerTool('large', {}, async ({ mcpReq }) => {
        // Sent before the answer, so that a stream begins.
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken: 1, progress: 1 } });
        return said('x'.repeat(2 ** 20));
      });
    });
    const served = await serve(lab.factory, { ...OPTIONS, ...options }, { face: 'node', auth });
    const begin = async (by: object, name = 'hold') => {
      const client = served.client();
      const call = await postModern(client, 'tools/call', { name, arguments: {} }, by);
      return { client, call, id: (await call.next()).id };
    };
    return { ...served, lab, begin };
  }
  const aborted = (lab: ReturnType<typeof createLab>): number =>
    lab.holds.filter(({ ctx }) => ctx.mcpReq.signal.aborted).length;

  test('one user keeps 100 calls running without a client, and no other user loses theirs', async () => {
    const { lab, begin } = await open();
    const theirs = await begin(as('bob'));
    for (let n = 0; n < 150; n++) (await begin(as('mallory'))).call.abort();
    await until(() => aborted(lab) === 50, { what: 'the calls past the bound to be cancelled' });
    theirs.call.abort();
    const back = await comeBack(theirs.client, theirs.id, as('bob'));
    await back.next();
    lab.holds[0]?.answer('for bob');
    expect(textOf(await back.nextMessage())).toBe('for bob');
    expect(aborted(lab)).toBe(50);
  });

  test('a call without a client counts in the limits of its user', async () => {
    const { lab, begin, client } = await open({ limits: { perUser: { requests: 2 } } });
    const calls = [await begin(as('mallory')), await begin(as('mallory'))];
    for (const { call } of calls) call.abort();
    const refused = await callModern(client(), 'tools/call', { name: 'echo', arguments: { text: 'a' } }, as('mallory'));
    expect(refused.response.status).toBe(429);
    lab.holds[0]?.answer('done');
    await until(async () => {
      const { response } = await callModern(
        client(),
        'tools/call',
        { name: 'echo', arguments: { text: 'a' } },
        as('mallory'),
      );
      return response.status === 200;
    });
  });

  test('a flood of GETs for one call has one reader at a time, and the last one gets the answer', async () => {
    const { lab, begin, client } = await open();
    const { call, id } = await begin(as('alice'));
    call.abort();
    const one = client();
    const backs: RawResponse[] = [];
    for (let n = 0; n < 200; n++) {
      const back = await comeBack(one, id, as('alice'));
      await back.next();
      backs.push(back);
    }
    lab.holds[0]?.answer('done');
    expect(textOf(await backs.at(-1)?.nextMessage())).toBe('done');
    await Promise.all(backs.map((back) => back.untilEnd()));
    expect(
      backs.filter(({ events }) => events.some(({ message }) => message !== null && message !== undefined)),
    ).toHaveLength(1);
    expect(lab.holds).toHaveLength(1);
  });

  test('large answers that no client fetches leave room for other users', async () => {
    const { begin, client } = await open({ limits: { memoryBytes: 4 * 2 ** 20 } });
    for (let n = 0; n < 20; n++) (await begin(as('mallory'), 'large')).call.abort();
    const kept = await begin(as('alice'), 'large');
    await kept.call.untilEnd();
    const theirs = await begin(as('bob'), 'large');
    expect(textOf((await theirs.call.untilEnd()).at(-1)?.message)).toHaveLength(2 ** 20);
    const { response } = await callModern(
      client(),
      'tools/call',
      { name: 'echo', arguments: { text: 'a' } },
      as('bob'),
    );
    expect(response.status).toBe(200);
    // No room for it in memory: it comes from the store.
    const back = await comeBack(kept.client, kept.id, as('alice'));
    expect(textOf(await back.nextMessage())).toHaveLength(2 ** 20);
  });
});
