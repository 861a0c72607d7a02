/** Calls whose first write, whose answer or whose instance comes late. The checker judges every scene too. */
import { describe, expect, test } from 'vitest';
import type { SimClient } from './client.ts';
import type { Call } from './ledger.ts';
import {
  answered,
  counts,
  kindOf,
  LEASE_MS,
  listening,
  ranOf,
  type Stage,
  valueOf,
  withClient,
} from './stage.ts';

describe('a relayed call whose relaying instance has lost its lease is sent again', () => {
  test('while its answer is being stored: it gets that answer', () =>
    withClient({ slots: 2 }, async (stage, client) => {
      const first = stage.hold('append', 0);
      const called = client.call('effect', { slot: 1 });
      await first.reached();
      const returns = await stage.frozen(1);
      first.letGo();
      const answer = stage.hold('append', 0);
      await answer.reached();
      await returns();
      answer.letGo();
      await answered(called);
      expect(ranOf(stage, 'effect')).toBe(1);
    }));

  test('after its answer, and may run twice: it gets that answer, once the store is back', () =>
    withClient({ slots: 2 }, async (stage, client) => {
      await client.call('tools/list', { slot: 0 });
      const called = client.call('read', { slot: 1, ms: 20 });
      await stage.runs('read');
      const returns = await stage.frozen(1);
      stage.fail('log', 'fails', { times: 2 });
      await returns();
      expect(kindOf(await called)).toBe('result');
      expect(ranOf(stage, 'read')).toBe(1);
    }));

  test('after its answer, which the log has dropped: it runs again', () =>
    withClient({ slots: 2, endpoint: { eventRetention: { events: 2 } } }, async (stage, client) => {
      // The log keeps no answer for as long as the checker expects.
      stage.ledger.logged = false;
      await client.call('tools/list', { slot: 0 });
      const called = client.call('read', { slot: 1, ms: 20 });
      await stage.runs('read');
      const returns = await stage.frozen(1);
      for (let n = 0; n < 4; n++) await client.call('count', { slot: 0 });
      await returns();
      expect(kindOf(await called)).toBe('result');
      expect(ranOf(stage, 'read')).toBe(2);
    }));
});

describe('a call whose first write is stored while its instance loses the lease', () => {
  /** Resolves when the instance has no lease and the reply to that write has come. */
  async function stored(stage: Stage): Promise<void> {
    const writes = stage.hold('append', 0, 'holdReply');
    await writes.reached();
    await stage.sleep(1);
    stage.world.cutOff.add(stage.instance(0).process);
    await stage.until(
      () => stage.instance(0).core?.instance.lease.valid === false,
      'the lease to lapse',
    );
    writes.letGo();
    await stage.sleep(50);
  }

  test('begins when the lease is back', () =>
    withClient({ slots: 1 }, async (stage, client) => {
      const called = client.call('effect', { slot: 0 });
      await stored(stage);
      expect(ranOf(stage, 'effect')).toBe(0);
      stage.world.cutOff.clear();
      await answered(called);
    }));

  test('gets the answer of the run that the next owner began from the log', () =>
    withClient({}, async (stage, client) => {
      const { process } = stage.instance(0);
      const write = stage.hold('append', 0, 'holdReply');
      // No `tools/list` yet: nothing runs before its first write is known to be stored.
      const called = client.call('slow', { slot: 0, ms: 2_500 });
      await write.reached();
      await stage.sleep(1);
      process.freeze(false);
      await counts(client, 1, 1);
      write.letGo();
      process.thaw(false);
      expect(kindOf(await called)).toBe('result');
      expect(ranOf(stage, 'slow')).toBe(1);
    }));

  test('does not run if its client, which cannot resume, has left by then', () =>
    withClient({ slots: 1, client: { headPatience: LEASE_MS / 2 } }, async (stage, client) => {
      const called = client.call('effect', { slot: 0 });
      await stored(stage);
      expect(kindOf(await called)).toBe('timed-out');
      stage.world.cutOff.clear();
      await counts(client, 1, 0);
      expect(ranOf(stage, 'effect')).toBe(0);
    }));
});

/** What the client has got of the progress of its call, on the streams of that call. */
const progressOf = ({ ledger }: Stage, reader: string): number[] =>
  ledger.received
    .filter((event) => event.reader === reader && event.data.includes('notifications/progress'))
    .map(({ data }) => (JSON.parse(data) as { params: { progress: number } }).params.progress);

describe('progress', () => {
  test.each([
    ['2025-11-25', 0],
    ['2025-11-25', 1],
    ['2025-06-18', 1],
  ])(
    'of a call that the next owner runs again is behind all of the lost run (%s, through slot %i)',
    (version, slot) =>
      withClient({ client: { version } }, async (stage, client) => {
        await client.call('tools/list', { slot: 0 });
        const called = client.call('slow', { slot, ms: 300 });
        const { nonce } = stage.ledger.calls.at(-1) ?? { nonce: '' };
        await stage.until(() => progressOf(stage, nonce).length === 2, 'progress of the first run');
        stage.kill(0);
        expect(kindOf(await called)).toBe('result');
        expect(progressOf(stage, nonce)).toEqual([1, 2, 1, 2, 3]);
      }),
  );

  // Two streams of a client have no order: later progress on the GET stream could be read before earlier progress here.
  test.each([
    { version: '2025-11-25', isKept: true },
    { version: '2025-06-18', isKept: true },
    { version: '2025-06-18', isKept: false },
  ])(
    'stays on the stream of its call while the relaying instance has no lease (%o)',
    ({ version, isKept }) =>
      withClient(
        { client: { version }, endpoint: isKept ? {} : { eventRetention: false } },
        async (stage, client: SimClient) => {
          await listening(stage, client, 0);
          const called = client.call('slowOnce', { slot: 1, ms: 12 * LEASE_MS });
          const { nonce } = stage.ledger.calls.at(-1) ?? { nonce: '' };
          await stage.runs('slowOnce');
          // The owner has let go of the exchange when it sends the first progress.
          const returns = await stage.frozen(1, 5 * LEASE_MS);
          await returns();
          expect(kindOf(await called)).toBe('result');
          expect(progressOf(stage, nonce)).toEqual(isKept ? [1, 2, 3] : [2, 3]);
          expect(progressOf(stage, 'GET')).toEqual([]);
        },
      ),
  );
});

describe('a drain waits', () => {
  const CASES: Record<
    string,
    readonly [held: string, begin: (stage: Stage, client: SimClient) => Promise<unknown>]
  > = {
    'for a call on its way to where its session lives': [
      'read',
      (_, client) => client.call('count', { slot: 1 }),
    ],
    'for a call whose owner is gone, until the next owner has answered it': [
      'read',
      async (stage, client) => {
        await stage.die(0);
        return client.call('count', { slot: 1 });
      },
    ],
    'for a session that is being opened': ['create', (stage) => stage.client(1)],
    'for a GET on its way to its session': [
      'claim',
      async (stage, client) => {
        await stage.die(0);
        return listening(stage, client, 1);
      },
    ],
  };
  test.each(Object.entries(CASES))('%s', (_name, [name, begin]) =>
    withClient({}, async (stage, client) => {
      const held = stage.hold(name, 1);
      const begun = begin(stage, client);
      await held.reached();
      let isOver = false;
      const retired = stage.world.retire(stage.instance(1), 10_000).then(() => (isOver = true));
      await stage.sleep(50);
      expect(isOver).toBe(false);
      held.letGo();
      await begun;
      await retired;
      for (const call of stage.ledger.calls) expect(valueOf(call)).toBe(1);
    }),
  );
});

test('a drain gives a session back when its last answer is stored, though that waits behind another message', () =>
  withClient({}, async (stage, client) => {
    const called = client.call('slowOnce', { slot: 0, ms: 30 });
    await stage.runs('slowOnce');
    const stored = stage.hold('append', 0);
    await stage.sleep(50);
    expect(stored.waiting).toBe(1);
    const retired = stage.world.retire(stage.instance(0), 10_000);
    await stage.sleep(50);
    stored.letGo();
    await answered(called);
    await retired;
  }));

describe('a drain that runs out of time', () => {
  const drained = async (
    stage: Stage,
    client: SimClient,
    tool: string,
    slot: number,
    isListed = true,
  ) => {
    if (isListed) await client.call('tools/list', { slot: 0 });
    const called = client.call(tool, { slot, ms: LEASE_MS });
    await stage.until(() => ranOf(stage, tool) === 1, 'the tool to run');
    await stage.world.retire(stage.instance(0), 100);
    return called;
  };

  test.each([
    ['2025-11-25', 0, true],
    ['2025-11-25', 1, true],
    ['2025-06-18', 1, true],
    ['2025-11-25', 0, false],
    ['2025-11-25', 1, false],
    ['2025-06-18', 1, false],
  ])(
    'leaves a call that may run twice to the next owner (%s, through slot %i, listed: %s)',
    (version, slot, isListed) =>
      withClient({ client: { version } }, async (stage, client) => {
        const { ending, nonce } = await drained(stage, client, 'slow', slot, isListed);
        expect(ending).toMatchObject({ kind: 'result', value: nonce });
        expect(ranOf(stage, 'slow')).toBe(2);
        // What its first run says from then on is dropped.
        expect(progressOf(stage, nonce)).toEqual([1, 2, 3]);
      }),
  );

  test('three times ends such a call with its error', () =>
    withClient({ slots: 5 }, async (stage, client) => {
      const called = client.call('slow', { slot: 0, ms: 3 * LEASE_MS });
      for (let n = 0; n < 3; n++) {
        await stage.until(() => ranOf(stage, 'slow') > n, 'the tool to run');
        const { instance } = stage.ledger.ran[n] ?? {};
        const slot = stage.world.slots.findIndex((one) => one?.process.name === instance);
        await stage.world.retire(stage.instance(slot), 100);
      }
      expect((await called).ending).toMatchObject({ reason: 'owner_lost', mayHaveRun: true });
      expect(ranOf(stage, 'slow')).toBe(3);
    }));

  test.each([{ responseMode: 'json' as const }, { eventRetention: false as const }])(
    'ends it with its error where its client cannot resume (%j)',
    (endpoint) =>
      withClient({ endpoint }, async (stage, client) => {
        expect(kindOf(await drained(stage, client, 'read', 0))).toBe('draining');
        expect(ranOf(stage, 'read')).toBe(1);
      }),
  );

  test.each([0, 1])('ends a call with effects with its error (through slot %i)', (slot) =>
    withClient({}, async (stage, client) => {
      const { ending } = await drained(stage, client, 'effect', slot);
      expect(ending).toMatchObject({ kind: 'error', reason: 'draining', mayHaveRun: true });
      expect(ranOf(stage, 'effect')).toBe(1);
      await counts(client, 1, 1);
    }),
  );
});

test('a call with a deleted id, relayed to an owner that dies before it answers, does not run and gets session_ended', () =>
  withClient({}, async (stage, client) => {
    // The relaying instance knows the owner, and asks it without a look at the record.
    await counts(client, 1, 1);
    client.via.push(0);
    await client.delete();
    const answer = stage.hold('send', 0);
    const called = client.call('effect', { slot: 1 });
    await answer.reached();
    stage.kill(0);
    // It cannot know that the session ended before the call was sent, and 404 invites the client to send the call again.
    expect((await called).ending).toMatchObject({
      kind: 'error',
      reason: 'session_ended',
      mayHaveRun: true,
    });
    expect(ranOf(stage, 'effect')).toBe(0);
  }));

test('under way when its instance drains, a restore is finished first, and no request waits for ever', () =>
  withClient({}, async (stage, client) => {
    await stage.die(0);
    const restores = stage.hold('claim', 1, 'holdReply');
    const calls = [client.call('count', { slot: 1 })];
    await restores.reached();
    const retired = stage.world.retire(stage.instance(1), 0);
    calls.push(client.call('count', { slot: 1 }), client.call('count', { slot: 2 }));
    restores.letGo();
    await retired;
    expect((await Promise.all(calls)).map(kindOf)).toEqual(['draining', 'refused', 'result']);
    expect(stage.live(2)).toBe(1);
  }));

describe('a call whose instance dies each time that it begins', () => {
  /** Kills each instance that runs the tool, until the call has ended. `before`: what comes before the n-th death. */
  async function doomed(
    stage: Stage,
    called: Promise<Call>,
    tool: string,
    before?: (n: number) => Promise<unknown>,
  ) {
    let isOver = false;
    const ended = called.finally(() => (isOver = true));
    for (let n = 0; ; n++) {
      await stage.until(() => isOver || ranOf(stage, tool) > n, `run ${n + 1}, or the end`);
      const run = stage.ledger.ran.filter((one) => one.tool === tool)[n];
      if (run === undefined) return ended;
      await before?.(n);
      const slot = stage.world.slots.findIndex((one) => one?.process.name === run.instance);
      if (slot !== -1) stage.kill(slot);
    }
  }

  test.each([
    ['read', '2025-11-25', 0],
    ['read', '2025-11-25', 1],
    ['slow', '2025-06-18', 1],
    ['peek', '2025-11-25', 0],
  ])(
    'takes three with it, and its client hears why (%s, %s, through slot %i)',
    (tool, version, slot) =>
      withClient({ slots: 6, client: { version } }, async (stage, client) => {
        const other = await stage.client(5);
        await client.call('tools/list', { slot: 0 });
        const called = client.call(tool, { slot, ms: LEASE_MS });
        const { ending } = await doomed(stage, called, tool, () => stage.sleep(30));
        expect(ending).toMatchObject({ reason: 'owner_lost', mayHaveRun: true });
        expect(ending).toMatchObject({ message: expect.stringContaining('began 3 times') });
        expect(ranOf(stage, tool)).toBe(3);
        await counts(other, 1, 5);
      }),
  );

  /** Without an event log only the instance that has the client counts: it sends the call to one owner after another. */
  test.each([{ eventRetention: false as const }, { responseMode: 'json' as const }])(
    'ends the same way where no stream is stored (%j)',
    (endpoint) =>
      withClient({ slots: 6, endpoint }, async (stage, client) => {
        const wake = async (n: number): Promise<void> => {
          const looks = stage.hold('read', 5);
          stage.kill(n);
          // Its next owner is not the instance that has the client.
          await client.call('tools/list', { slot: n + 1 });
          looks.letGo();
        };
        await client.call('tools/list', { slot: 0 });
        const { ending } = await doomed(
          stage,
          client.call('read', { slot: 5, ms: LEASE_MS }),
          'read',
          wake,
        );
        expect(ending).toMatchObject({ reason: 'owner_lost', mayHaveRun: true });
        expect(ranOf(stage, 'read')).toBe(3);
      }),
  );

  test('counts as the same call when the instance that has the client sends it again', () =>
    withClient({ slots: 6 }, async (stage, client) => {
      await client.call('tools/list', { slot: 0 });
      // Its first run dies before its first event is stored: nothing but the relaying instance knows of it.
      const first = stage.hold('append', 0);
      const called = client.call('read', { slot: 5, ms: LEASE_MS });
      const { ending } = await doomed(stage, called, 'read', async (n) => {
        if (n > 0) return stage.sleep(30);
        const looks = stage.hold('read', 5);
        stage.kill(0);
        await client.call('tools/list', { slot: 1 });
        looks.letGo();
        first.letGo();
      });
      expect(ending).toMatchObject({ reason: 'owner_lost', mayHaveRun: true });
      expect(ranOf(stage, 'read')).toBe(3);
    }));
});
