/** Live objects in worlds that go wrong; and the same worlds without one of the rules that keep them. */
import { describe, expect, test } from 'vitest';
import { OpenObject } from '../../src/durable/live/open-object.ts';
import { isMatrix } from '../kit/matrix.ts';
import { type Ablation, ownersAreDead, patched, proves } from './ablation.ts';
import { type LiveWorldOptions, runLive } from './live.ts';
import { CLEAR } from './weather.ts';

const SEEDS = isMatrix ? 1_000 : 8;

test(
  `${SEEDS} seeds: a call begins as often as it may, one object of a handle answers, and no number of its state is given out twice`,
  { timeout: 60_000 + 10_000 * SEEDS },
  async () => {
    const total = { opened: 0, answered: 0, asked: 0 };
    const found: Array<[seed: number, violations: readonly string[]]> = [];
    for (let seed = 0; seed < SEEDS; seed++) {
      const { violations, counts } = await runLive(seed);
      for (const name of ['opened', 'answered', 'asked'] as const) total[name] += counts[name];
      if (violations.length > 0) found.push([seed, violations]);
    }
    expect(found).toEqual([]);
    expect(total.opened).toBeGreaterThan(SEEDS * 4);
    expect(total.answered).toBeGreaterThan(SEEDS * 50);
    expect(total.asked).toBeGreaterThan(SEEDS);
  },
);

/** Instances that sleep for longer than their lease. */
const SLEEPY: LiveWorldOptions = { weather: { ...CLEAR, freeze: 3, crash: 0.3 }, sessions: 0 };

const ABLATIONS: readonly Ablation<LiveWorldOptions>[] = [
  {
    rule: 'an instance answers for an object that it owns for sure',
    shows: /answered after \d+ was open/,
    within: SLEEPY,
    without: {},
    from: 2,
    patch: patched(OpenObject.prototype, 'confirm', () => async () => undefined),
  },
  {
    rule: 'a lost object writes no state',
    shows: /wrote after \d+ was open/,
    within: SLEEPY,
    without: {},
    patch: patched(OpenObject.prototype, 'refuses', () => async () => undefined),
  },
  {
    rule: 'the object of a living instance is not opened by another one',
    shows: /(answered|wrote) after \d+ was open|open objects at the end/,
    within: {},
    without: { changes: { instances: () => ({ read: () => undefined }) } },
  },
  {
    rule: 'a call goes to the owner of its object, where that lives',
    shows: /answered after \d+ was open|open objects at the end/,
    within: {},
    without: {},
    patch: ownersAreDead,
  },
];

describe('without the rule that', () => {
  test.each(ABLATIONS)('$rule, a world goes wrong', { timeout: 300_000 }, (ablation) =>
    proves(runLive, ablation),
  );
});
