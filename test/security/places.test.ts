/**
 * Places of the limits last as long as handlers run: a caller who cancels, disconnects or ends its session gets no
 * more handlers to run at once than the limit says. `test/eras/ladder.test.ts` holds that refused callers take none.
 */
import { expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { tool } from '../kit/lab.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { serve, type Served } from '../kit/serve.ts';
import { useSharedStores } from '../kit/shared-stores.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { anyone, body, cancelOf, type Sent, WAYS } from '../kit/ways.ts';

useSharedStores();

const LIMIT = 2;
const ATTEMPTS = 20;
/** Clients of 2026-07-28 give a call up when they have its head, which leaves after `keepAliveMs`. */
const EARLY_HEAD = { keepAliveMs: 20 };
const LIMITED: McpEndpointOptions = {
  ...EARLY_HEAD,
  limits: { userShare: 1, perTool: { hog: { requests: LIMIT } } },
};
const HOG = tool('hog');

/** A server with a tool whose handler ignores the end of its request, and counts how many of its calls run at once. */
function createHog() {
  const count = { started: 0, running: 0, most: 0 };
  const waiting: Array<() => void> = [];
  const factory = toolServer({
    hog: async () => {
      count.started += 1;
      count.running += 1;
      count.most = Math.max(count.most, count.running);
      await new Promise<void>((resolve) => waiting.push(resolve));
      count.running -= 1;
      return said('done');
    },
  });
  const release = (): void => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  return { count, ran: [], factory, release };
}

type Hog = ReturnType<typeof createHog>;
type Call = Pick<Sent, 'answer' | 'leave'>;

/** Sends calls, and gives each up once it runs or is refused. Resolves with what sends one more, and has its answer. */
async function giveUp({ count, release }: Hog, send: () => Promise<Call>) {
  const answers: unknown[] = [];
  /** Some answer may come for an earlier call: those that were cancelled have none. */
  const begin = async (): Promise<Call> => {
    const before = answers.length + count.started;
    const sent = await send();
    void sent.answer().then(
      (answer) => answers.push(answer),
      () => {},
    );
    await until(() => answers.length + count.started > before);
    return sent;
  };
  for (let n = 0; n < ATTEMPTS; n++) await (await begin()).leave();
  expect([count.most, count.started]).toEqual([LIMIT, LIMIT]);
  release();
  await until(() => count.running === 0);
  await begin();
  expect(count.started).toBe(LIMIT + 1);
  release();
  await until(() => answers.some((answer) => JSON.stringify(answer).includes('"text":"done"')));
}

/** In JSON the head of a response waits for the answer. */
const STREAMS = Object.entries(WAYS).filter(([way]) => !way.includes('JSON'));

test.each(STREAMS)(
  '%s: calls that their client gives up keep their places',
  async (_way, start) => {
    const hog = createHog();
    const { send } = await start(anyone(LIMITED), hog);
    await giveUp(hog, () => send(...HOG, ''));
  },
);

test.each(STREAMS.filter(([way]) => ['sessions, 2025-11-25', '2026-07-28'].includes(way)))(
  '%s: limits.requestsPerSession and limits.sessionlessRequests count handlers whose calls were given up',
  async (_way, start) => {
    const hog = createHog();
    const limits = { requestsPerSession: LIMIT, sessionlessRequests: LIMIT, userShare: 1 };
    const { send } = await start(anyone({ ...EARLY_HEAD, limits, maxWaitMs: 0 }), hog);
    await giveUp(hog, () => send(...HOG, ''));
  },
);

test.each([
  [
    'session is ended by DELETE',
    async ({ openSession }: Served): Promise<Call> => {
      const client = await openSession();
      const called = client.call(...HOG);
      return { answer: () => called.then(({ message }) => message), leave: () => client.delete() };
    },
  ],
  [
    'connection of 2024-11-05 ends',
    async ({ client }: Served): Promise<Call> => {
      const { post, stream } = await openSse(client());
      await post(body(...HOG));
      return { answer: () => stream.nextMessage(), leave: async () => stream.abort() };
    },
  ],
])('calls whose %s keep their places', async (_end, send) => {
  const hog = createHog();
  const served = await serve(hog.factory, { ...LIMITED, legacySse: true });
  await giveUp(hog, () => send(served));
});

test('a batch that cancels its own calls runs no handler past the limit', async () => {
  const hog = createHog();
  const { openSession } = await serve(hog.factory, LIMITED);
  const client = await openSession({ protocolVersion: '2025-03-26' });
  for (let n = 0; n < ATTEMPTS; n++) {
    const message = body(...HOG);
    await (await client.post([message, cancelOf(message)])).untilEnd();
  }
  expect(hog.count.most).toBeLessThanOrEqual(LIMIT);
  hog.release();
});
