/** Events in worlds that go wrong; and the same worlds without one of the rules that keep them. */
import { describe, expect, test } from 'vitest';
import { DISPATCHER, EventStore } from '../../src/durable/events/event-store.ts';
import type { Records } from '../../src/stores/store.ts';
import { isMatrix } from '../kit/matrix.ts';
import { type Ablation, patched, proves } from './ablation.ts';
import { type EventsWorldOptions, runEvents } from './events.ts';

const SEEDS = isMatrix ? 1_000 : 16;

test(
  `B266 B267 B268 B270 ${SEEDS} seeds: each event reaches who subscribed or polls, in the order of the emits, over crashes, freezes, outages and callbacks that fail`,
  { timeout: 60_000 + 10_000 * SEEDS },
  async () => {
    const total = { emitted: 0, taken: 0 };
    const found: Array<[seed: number, violations: readonly string[]]> = [];
    for (let seed = 0; seed < SEEDS; seed++) {
      const { violations, counts } = await runEvents(seed);
      for (const name of ['emitted', 'taken'] as const) total[name] += counts[name];
      if (violations.length > 0) found.push([seed, violations]);
    }
    expect(found).toEqual([]);
    expect(total.emitted).toBeGreaterThan(SEEDS * 100);
    expect(total.taken).toBeGreaterThan(SEEDS * 200);
  },
);

/** A dispatcher that was frozen hears that its tail is stored. */
const passesFence = (of: Records): Partial<Records> => ({
  save: async (id, fence, change) => {
    const saved = await of.save(id, fence, change);
    return id === DISPATCHER ? 'written' : saved;
  },
});

const ABLATIONS: readonly Ablation<EventsWorldOptions>[] = [
  {
    rule: 'a dispatcher ends nothing, news included, before its fence',
    shows: /lost/,
    from: 3,
    within: {},
    without: { changes: { records: passesFence } },
  },
  {
    rule: 'polls read up to the number that is stored, and no numbers of a dispatcher that was frozen',
    shows: /poller \d (lost|got)/,
    within: {},
    without: {},
    patch: patched(EventStore.prototype, 'numbers', () => async () => ({
      tail: Number.MAX_SAFE_INTEGER,
      owners: [],
    })),
  },
  {
    rule: 'news of a subscription come before later events',
    shows: /lost/,
    within: {},
    without: {},
    patch: patched(EventStore.prototype, 'tellOf', () => async () => undefined),
  },
  {
    rule: 'a dispatcher that was frozen writes no head over that of the next one',
    shows: /lost/,
    from: 130,
    within: {},
    without: {
      changes: {
        records: (of) => ({
          save: (id, { epoch, owner }, change) => of.save(id, { epoch, owner }, change),
        }),
      },
    },
  },
];

describe('without the rule that', () => {
  test.each(ABLATIONS)('$rule, a world goes wrong', { timeout: 300_000 }, (ablation) =>
    proves(runEvents, ablation),
  );
});
