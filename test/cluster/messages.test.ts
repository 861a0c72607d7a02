/**
 * What an instance makes of messages of another build. `stranger` is an instance without an endpoint, whose messages the
 * test writes itself.
 */
import { expect, test } from 'vitest';
import { storeUnavailable } from '../../src/base/errors.ts';
import { LINK_VERSION } from '../../src/cluster/messages.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { serveFleet } from '../kit/fleet.ts';
import { say, tool } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';

/** Two instances, and a stranger that sends messages to `a` and keeps what `a` sends. */
async function withStranger() {
  const store = watchedStore();
  const logger = createLog();
  const [a, b] = await serveFleet(2, { store, logger });
  const view = store.views[0]!;
  const got: Array<{ t: string; n?: number; mayHaveRun?: boolean }> = [];
  await view.instances.announce(
    { id: 'stranger', state: 'serving', version: '0' },
    (_, message) => {
      const { items = [], first } = message as unknown as { items?: typeof got; first: number };
      got.push(...items.slice(Math.max(0, got.length - first)));
    },
  );
  const send = (message: object): void =>
    void view.instances.send('stranger', a.id, message as never);
  let sent = 0;
  const push = (...items: unknown[]): void => {
    send({ kind: 'link', v: LINK_VERSION, to: a.id, first: sent, items, ack: got.length });
    sent += items.length;
  };
  return { a, b, view, logger, got, send, push };
}

test('messages of kinds that this build does not know reach nothing, and the store gets no error', async () => {
  const { a, b, logger, send, view } = await withStranger();
  const client = await a.openSession();
  for (const message of [{ kind: 'later' }, { kind: 7 }, {}]) send(message);
  expect(await say(b.join(client), 'count')).toBe('1');
  await until(
    () => logger.matching(/sent a message that this version cannot read/, 'warn').length === 3,
  );
  expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  // Many link messages of another version have one line.
  for (let n = 0; n < 20; n++) send({ kind: 'link', v: LINK_VERSION + 1, to: a.id });
  send({ kind: 'later' });
  await until(() => logger.matching(/cannot read/, 'warn').length === 4);
  expect(logger.matching(/another version of the protocol/, 'error')).toHaveLength(1);
  await view.instances.leave('stranger');
});

test('an instance that lost its mailbox, and not its lease, asks for the changes of that time', async () => {
  const [store, time] = [watchedStore({ durable: true }), createFakeTime()];
  let lost!: () => void;
  store.before['instances.announce'] = (_lease: never, _receive: never, given: typeof lost) =>
    void (lost = given);
  const [{ id, endpoint }] = await serveFleet(1, { store, timeProvider: time, leaseMs: 3_000 });
  const asked: unknown[] = [];
  await store.views[0]?.instances.announce(
    { id: 'stranger', state: 'serving', version: '0' },
    (from, message) => {
      if (message.kind === 'missed') asked.push([from, message]);
    },
  );
  await time.advance(4_500);
  lost();
  let failures = 1;
  store.before['instances.publish'] = () => {
    if (failures-- > 0) throw storeUnavailable('the test says so');
  };
  await time.advance(6_000);
  expect(asked).toMatchObject([[id, { ms: 3_500, backMs: 3_000 }]]);
  expect(endpoint.health().instance).toBe(id);
});

test('an instance that asks for the changes that it missed hears none of those that it was told since it is back', async () => {
  const [store, time] = [watchedStore(), createFakeTime()];
  const [{ id, endpoint }] = await serveFleet(1, { store, timeProvider: time });
  const heard: string[] = [];
  const { instances } = store.views[0]!;
  await instances.announce({ id: 'stranger', state: 'serving', version: '0' }, (_, message) => {
    if (message.kind === 'bus') heard.push((message['event'] as { kind: string }).kind);
  });
  endpoint.notify.promptsChanged();
  await time.advance(2_000);
  endpoint.notify.toolsChanged();
  await until(() => heard.length === 2);
  await time.advance(1_000);
  const asks = (backMs: number): void =>
    void instances.send('stranger', id, { kind: 'missed', ms: 5_000, backMs });
  asks(2_000);
  await until(() => heard.length === 3);
  asks(500);
  await until(() => heard.length === 5);
  expect(heard.slice(2)).toEqual([
    'prompts_list_changed',
    'prompts_list_changed',
    'tools_list_changed',
  ]);
});

test.each([
  [
    'with a header that HTTP does not allow fails its own call alone',
    { headers: { 'a b': '1' } },
    500,
  ],
  ['with an error of a newer build is that error', { code: 'LATER' }, 503],
])('an answer %s', async (_, fields, status) => {
  const { a, b, view, push, got, logger } = await withStranger();
  const onB = await b.openSession();
  const sessionId = onB.sessionId ?? '';
  const { epoch, owner } = (await view.sessions.read(sessionId)) as {
    epoch: number;
    owner: string;
  };
  await view.sessions.claim(sessionId, { epoch, owner }, 'stranger');
  const answered = a.join(onB).call(...tool('count'));
  await until(() => got.length === 1);
  const error = { code: 'OVERLOADED', message: 'later', status: 503, rpc: -32_000, ...fields };
  push({ t: 'answer', n: got[0]?.n, values: [['refuse', error, null, 'error', null]] });
  expect(await answered).toMatchObject({
    response: { status },
    message: { error: { code: -32603 } },
  });
  if (status === 500) {
    await until(() => got.length === 2);
    expect(got[1]).toEqual({ t: 'gone', n: got[0]?.n });
  }
  expect(logger.matching(/could not be handled/)).toEqual([]);
  await view.instances.leave('stranger');
});
