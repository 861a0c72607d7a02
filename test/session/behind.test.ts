/**
 * Clients that fall behind a chatty tool, on every store and with the default limits: each gets the answer of its call.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { currentSession } from '../../src/index.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet } from '../kit/fleet.ts';
import { createLab, numbersOn, toolCall, upTo } from '../kit/lab.ts';
import { sharedStore, storeKinds, type StoreKind, useSharedStores } from '../kit/shared-stores.ts';
import { turns, until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';

useSharedStores();

const KIB = 1024;
const TIMEOUT = { timeoutMs: 100_000 };
const ID = 'flooded';

/** `a` owns the session; `flood` logs `count` messages, each when the one before it is stored, or all at once. */
async function two(kind: StoreKind, store = sharedStore(kind)) {
  let flooded = 0;
  const lab = () =>
    createLab((server) => {
      const inputSchema = z.object({ count: z.number(), bytes: z.number(), atOnce: z.boolean() });
      server.registerTool('flood', { inputSchema }, async ({ count, bytes, atOnce }, ctx) => {
        await ctx.mcpReq.log('error', 'running');
        const text = 'x'.repeat(bytes);
        for (let n = 0; n < count; n++) {
          const sent = ctx.mcpReq.log('error', { n, text });
          if (atOnce) continue;
          await sent;
          // What was said so far is stored when this is: it reaches the reader in separate turns.
          await currentSession()?.state.set('n', n);
          await new Promise((later) => setImmediate(later));
        }
        flooded += 1;
        return { content: [{ type: 'text', text: 'all said' }] };
      });
    });
  const [a, b] = await serveFleet(2, { store }, [{}, {}], [lab(), lab()]);
  const onA = await a.openSession({}, TIMEOUT);
  return { a, b, onA, onB: b.join(onA, TIMEOUT), flooded: () => flooded };
}

const flood = (count: number, bytes: number, atOnce = false) => toolCall(ID, 'flood', { count, bytes, atOnce });

const PAUSE_MS = 10;

/** Reads in pieces with pauses between them, more slowly than it is written, until it has ended. */
async function readSlowly(response: RawResponse): Promise<RawResponse> {
  while (response.ending === undefined) {
    response.pause();
    await new Promise((later) => setTimeout(later, PAUSE_MS));
    void response.resume();
    await turns();
  }
  return response;
}

const ANSWER = { id: ID, result: { content: [{ text: 'all said' }] } };

test('a client is not cut off for what the instance it is connected to has not acknowledged', async () => {
  const store = watchedStore();
  const { b, onB, flooded } = await two('memory', () => store);
  expect((await onB.call('ping')).response.status).toBe(200);
  const acknowledgements = gate();
  onTestFinished(() => acknowledgements.open());
  const received = await onB.post(flood(32, 128 * KIB));
  // The call has gone over the link; from here on nothing of `b` reaches the owner.
  store.before['instances.send'] = (from: string) => (from === b.id ? acknowledgements.hook() : undefined);
  await until(() => flooded() === 1 && acknowledgements.waiting > 0);
  acknowledgements.open();
  await received.untilEnd();
  expect(received.events.at(-1)?.message).toMatchObject(ANSWER);
  expect(numbersOn(received)).toEqual(upTo(32));
});

const THROUGH = ['its owner', 'another instance'] as const;

describe.each(storeKinds)('on %s', (kind) => {
  describe.each(THROUGH)('through %s', (through) => {
    // Every store and both ways have each case; not all three together.
    const isEven = (storeKinds.indexOf(kind) + THROUGH.indexOf(through)) % 2 === 0;
    const testWhen = (wanted: boolean, name: string, work: () => Promise<void>): void => {
      if (wanted) test(name, { timeout: 120_000 }, work);
    };

    testWhen(
      isEven,
      'a client that stops reading, is cut off and comes back gets what is kept, and the answer',
      async () => {
        const { onA, onB, flooded } = await two(kind);
        const client = through === 'its owner' ? onA : onB;
        const count = 240; // 30 MiB: far more than the buffers of two sockets take and the log keeps
        const stalled = await client.post(flood(count, 128 * KIB));
        await stalled.nextMessage();
        stalled.pause();
        await until(() => flooded() === 1, { timeoutMs: 30_000 });
        await stalled.resume();
        const numbers = numbersOn(stalled);
        expect(numbers).toEqual(upTo(numbers.length));
        expect(numbers.length).toBeLessThan(count);
        const resumed = await client.get({ lastEventId: stalled.lastId });
        expect(resumed.status).toBe(200);
        await resumed.untilEnd();
        expect(resumed.events.at(-1)?.message).toMatchObject(ANSWER);
        const late = numbersOn(resumed);
        // In order, up to the last; and 8 MiB of them.
        expect(late).toEqual(upTo(count, count - late.length));
        expect(late.length).toBeGreaterThan(60);
      },
    );

    testWhen(
      isEven,
      'a client that reads all the time gets every one of 100,000 messages that are said at once',
      async () => {
        const { a, b, onA, onB } = await two(kind);
        const client = through === 'its owner' ? onA : onB;
        const count = 100_000;
        const response = await client.post(flood(count, 100, true));
        await response.untilEnd();
        expect(response.ending).toBe('complete');
        expect(response.events.at(-1)?.message).toMatchObject(ANSWER);
        const numbers = numbersOn(response);
        // On a busy machine this blocks the event loop for longer than the lease, and then the log has the newest
        // 10,000.
        const lapses = [a, b].flatMap(({ log }) => log.matching(/^The lease ran out/));
        expect(numbers).toEqual(lapses.length === 0 ? upTo(count) : numbers.toSorted((x, y) => x - y));
        expect(new Set(numbers).size).toBe(numbers.length);
      },
    );

    testWhen(
      !isEven,
      'a client that reads slowly gets the answer after 20,000 messages, however often it is cut',
      async () => {
        const { onA, onB } = await two(kind);
        const client = through === 'its owner' ? onA : onB;
        const numbers: number[] = [];
        let last: string | undefined;
        let stream = await readSlowly(await client.post(flood(20_000, 1_000, true)));
        for (;;) {
          numbers.push(...numbersOn(stream));
          last = stream.lastId ?? last;
          if (stream.body.includes('all said')) break;
          expect(last).toBeDefined();
          stream = await readSlowly(await client.get({ lastEventId: last }));
        }
        // In order, and none twice.
        expect(numbers).toEqual([...new Set(numbers)].toSorted((x, y) => x - y));
        expect(numbers.at(-1)).toBe(19_999);
      },
    );
  });
});
