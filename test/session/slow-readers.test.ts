/**
 * Clients that read more slowly than their server writes, or not at all: `limits.streamBufferBytes` cuts them off, what
 * the log keeps is there when they come back, and each gets the answer of its call. Clients that read get everything.
 */
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import { currentSession } from '../../src/index.ts';
import { serveFleet, serveMember } from '../kit/fleet.ts';
import { createLab, numbersOn, textOf, tool, toolCall, upTo } from '../kit/lab.ts';
import { inMatrix } from '../kit/matrix.ts';
import { postModern } from '../kit/modern.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { perFace } from '../kit/sessions.ts';
import { sharedStore, storeKinds, type StoreKind, useSharedStores } from '../kit/shared-stores.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { turns, until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

useSharedStores();

const KIB = 1024;
const LARGE = 128 * KIB;
const TIMEOUT = { timeoutMs: 100_000 };
const ID = 'flooded';
const ANSWER = { id: ID, result: { content: [{ text: 'all said' }] } };

/**
 * A server whose tool `flood` says that it runs and then logs `count` messages, each when the one before it is stored,
 * or all at once: then before its head can leave, or `late`.
 */
function flooding() {
  const flooded = { ended: 0, aborted: 0 };
  const lab = createLab((server) => {
    const inputSchema = z.object({
      count: z.number(),
      bytes: z.number(),
      atOnce: z.boolean(),
      late: z.boolean(),
    });
    server.registerTool(
      'flood',
      { inputSchema },
      async ({ count, bytes, atOnce, late }, { mcpReq }) => {
        if (late) await turns(20);
        await mcpReq.log('error', 'running');
        const text = 'x'.repeat(bytes);
        for (let n = 0; n < count && !mcpReq.signal.aborted; n++) {
          const sent = mcpReq.log('error', { n, text });
          if (atOnce) continue;
          await sent;
          // What was said so far is stored when this is: it reaches the reader in separate turns.
          await currentSession()?.state.set('n', n);
          await new Promise((later) => setImmediate(later));
        }
        flooded.ended += 1;
        if (mcpReq.signal.aborted) flooded.aborted += 1;
        return said('all said');
      },
    );
  });
  return { lab, flooded };
}

const argsOf = (count: number, bytes: number, atOnce = false, late = false) => ({
  count,
  bytes,
  atOnce,
  late,
});
const flood = (...args: Parameters<typeof argsOf>) => toolCall(ID, 'flood', argsOf(...args));

/** Stops reading after the first message. */
async function stalled(response: RawResponse): Promise<RawResponse> {
  await response.nextMessage();
  response.pause();
  return response;
}

// The adapter of the fetch face prints every response that was cut.
beforeEach(() => void vi.spyOn(console, 'error').mockReturnValue());
afterEach(() => void vi.restoreAllMocks());

describe.each(perFace)('over $face', ({ session }) => {
  /** Far more than the buffers of two sockets take. */
  const MESSAGES = 160;

  async function open(protocolVersion?: string) {
    const { lab, flooded } = flooding();
    // The session's log keeps all of them; `streamBufferBytes` is far less.
    const options = {
      limits: { streamBufferBytes: 256 * KIB },
      eventRetention: { bytes: 64 * 1024 * KIB, events: 10_000 },
    };
    const opened = await session(lab.factory, options, { protocolVersion });
    return { ...opened, lab, flooded };
  }

  test('a GET stream that is not read is cut as well, and the session lives on', async () => {
    const { one, lab, endpoint } = await open();
    const stream = await one.get();
    await stream.next();
    stream.pause();
    for (const n of upTo(MESSAGES)) {
      const data = { n, text: 'x'.repeat(LARGE) };
      await lab.made.at(-1)?.server.server.sendLoggingMessage({ level: 'error', data });
      await new Promise((later) => setImmediate(later));
    }
    await stream.resume();
    const numbers = numbersOn(stream);
    expect(numbers).toEqual(upTo(numbers.length));
    expect(numbers.length).toBeLessThan(MESSAGES);
    expect(endpoint.sessions.liveCount).toBe(1);
    const resumed = await one.get({ lastEventId: stream.lastId });
    await until(() => resumed.messages.length === MESSAGES - numbers.length);
    expect(numbersOn(resumed)).toEqual(upTo(MESSAGES, numbers.length));
    expect(resumed.ending).toBeUndefined();
  });

  test.each([
    ['without a log the stream is cut too; the call ends', '2025-06-18', 0],
    ['in the modern era a client that does not read is gone: its call is aborted', '2026-07-28', 1],
  ])('%s, and its session lives on', async (_what, version, aborted) => {
    const isModern = version === '2026-07-28';
    const { one, flooded } = await open(isModern ? undefined : version);
    const call = tool('flood', argsOf(MESSAGES, LARGE));
    const meta = { 'io.modelcontextprotocol/logLevel': 'debug' };
    const stream = await stalled(
      await (isModern ? postModern(one, ...call, { meta }) : one.post(flood(MESSAGES, LARGE))),
    );
    await until(() => flooded.ended === 1, { timeoutMs: 20_000 });
    expect(flooded.aborted).toBe(aborted);
    await stream.resume();
    expect(numbersOn(stream).length).toBeLessThan(MESSAGES);
    expect((await one.call('ping')).response.status).toBe(200);
  });

  const VERSIONS = ['2025-06-18', '2025-11-25', '2026-07-28'];
  test.each(VERSIONS.flatMap((version) => [false, true].map((late) => [version, late] as const)))(
    'a client that reads gets all that a call says in one go, far more than may wait for it (%s, late: %s)',
    async (version, late) => {
      const isModern = version === '2026-07-28';
      const { one } = await open(isModern ? undefined : version);
      const args = argsOf(2_000, 1_000, true, late);
      const meta = { 'io.modelcontextprotocol/logLevel': 'debug' };
      const stream = await (isModern
        ? postModern(one, ...tool('flood', args), { meta })
        : one.post(toolCall(ID, 'flood', args)));
      await stream.untilEnd();
      expect(numbersOn(stream)).toEqual(upTo(2_000));
      expect(textOf(stream.events.at(-1)?.message)).toBe('all said');
    },
  );

  test('one message larger than the buffer is delivered to a client that reads', async () => {
    const text = 'y'.repeat(2 * 1024 * KIB);
    const { one } = await session(toolServer({ large: () => said(text) }), {
      limits: { streamBufferBytes: 1 },
    });
    const { message } = await one.call(...tool('large'));
    expect(message.result).toEqual(said(text));
  });
});

/** `a` owns the session. */
async function two(kind: StoreKind, store = sharedStore(kind)) {
  const { lab, flooded } = flooding();
  const [a, b] = await serveFleet(2, { store }, [], [lab, lab]);
  const onA = await a.openSession({}, TIMEOUT);
  return { a, b, onA, onB: b.join(onA, TIMEOUT), flooded };
}

test('a client at another instance gets all that its session sends in one go', async () => {
  const { a, onB } = await two('sqlite');
  const get = await onB.get();
  await until(() => get.events.length === 1);
  const text = 'x'.repeat(1_000);
  for (const n of upTo(2_000))
    void a.lab.made[0]?.server.server.sendLoggingMessage({ level: 'error', data: { n, text } });
  await until(() => get.messages.length === 2_000);
  expect(numbersOn(get)).toEqual(upTo(2_000));
  expect(get.ending).toBeUndefined();
});

test.each(storeKinds)(
  'an answer larger than eventRetention.bytes reaches a client that comes back for it (%s)',
  async (kind) => {
    const lab = createLab();
    const options = { store: sharedStore(kind)(), eventRetention: { bytes: 1024 * KIB } };
    const client = await (await serveMember(options, undefined, lab)).openSession();
    const call = await client.post(toolCall('big', 'hold'));
    const { id } = await call.next();
    const held = await lab.held();
    call.abort();
    held.answer('x'.repeat(4 * 1024 * KIB));
    // Events of other calls that come after it.
    for (let n = 0; n < 10; n++) await client.call('ping');
    const resumed = await client.get({ lastEventId: id });
    await resumed.untilEnd();
    const texts = resumed.events.flatMap(({ message }) =>
      message === undefined ? [] : [textOf(message)?.length],
    );
    expect(texts).toEqual([4 * 1024 * KIB]);
  },
);

test('a client is not cut off for what the instance it is connected to has not acknowledged', async () => {
  const store = watchedStore();
  const { b, onB, flooded } = await two('memory', () => store);
  expect((await onB.call('ping')).response.status).toBe(200);
  const acknowledgements = gate();
  onTestFinished(() => acknowledgements.open());
  const received = await onB.post(flood(32, LARGE));
  // The call has gone over the link; from here on nothing of `b` reaches the owner.
  store.before['instances.send'] = (from: string) =>
    from === b.id ? acknowledgements.hook() : undefined;
  await until(() => flooded.ended === 1 && acknowledgements.waiting > 0);
  acknowledgements.open();
  await received.untilEnd();
  expect(received.events.at(-1)?.message).toMatchObject(ANSWER);
  expect(numbersOn(received)).toEqual(upTo(32));
});

const THROUGH = ['its owner', 'another instance'] as const;
/** Every store and both ways; not both together. */
const through = inMatrix<StoreKind>(storeKinds, ['memory']).map(
  (kind, n) => [kind, THROUGH[n % 2]] as const,
);

test.each(through)(
  'a client that stops reading, is cut off and comes back gets what is kept, and the answer (%s, through %s)',
  { timeout: 120_000 },
  async (kind, way) => {
    const { onA, onB, flooded } = await two(kind);
    const client = way === 'its owner' ? onA : onB;
    const count = 240; // 30 MiB: far more than the buffers of two sockets take and the log keeps
    const stream = await stalled(await client.post(flood(count, LARGE)));
    await until(() => flooded.ended === 1, { timeoutMs: 30_000 });
    await stream.resume();
    const numbers = numbersOn(stream);
    expect(numbers).toEqual(upTo(numbers.length));
    expect(numbers.length).toBeLessThan(count);
    const resumed = await client.get({ lastEventId: stream.lastId });
    expect(resumed.status).toBe(200);
    await resumed.untilEnd();
    expect(resumed.events.at(-1)?.message).toMatchObject(ANSWER);
    const late = numbersOn(resumed);
    // In order, up to the last; and 8 MiB of them.
    expect(late).toEqual(upTo(count, count - late.length));
    expect(late.length).toBeGreaterThan(60);
  },
);
