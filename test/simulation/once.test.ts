/** Calls that run once, in worlds that go wrong; and the same worlds without one of the rules that keep them. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { OwnedRecord } from '../../src/owned/owned-record.ts';
import type { OpenStore } from '../../src/stores/store.ts';
import { isMatrix } from '../kit/matrix.ts';
import { type Ablation, proves } from './ablation.ts';
import { OnceScene, type OnceOptions, runOnce } from './once.ts';
import { play } from './stage.ts';
import { replaced } from './sim-store.ts';
import { claimsBlindly, createsAgain } from './store-rules.ts';
import { CLEAR } from './weather.ts';

const SEEDS = Number(process.env['SOJOURN_ONCE_SEEDS'] ?? 30);

test(
  `${SEEDS} seeds: no key runs again that may not, none at two places, each has one outcome`,
  { timeout: 60_000 + 10_000 * SEEDS },
  async () => {
    let [runs, answers, stored] = [0, 0, 0];
    for (let seed = 0; seed < SEEDS; seed++) {
      const played = await runOnce(seed);
      expect([seed, played.violations]).toEqual([seed, []]);
      runs += played.runs.length;
      answers += played.answers.length;
      stored += played.answers.filter((answer) => answer.stored).length;
    }
    console.log(`${SEEDS} seeds: ${runs} runs, ${answers} answers, ${stored} of them read from the store`);
    expect(stored).toBeGreaterThan(SEEDS);
  },
);

afterEach(() => void vi.restoreAllMocks());

/** Every other instance counts as dead. */
function deadOthers(store: OpenStore): OpenStore {
  return { ...store, instances: replaced(store.instances, { read: () => undefined }) };
}

const AT_ONCE = /ran twice at once/;

const ABLATIONS: readonly Ablation<OnceOptions>[] = [
  {
    rule: 'an entry that is there is not created again',
    shows: /^fail \d+ ran again/,
    within: {},
    without: { changes: createsAgain },
  },
  {
    rule: 'a claim names what its caller read',
    shows: AT_ONCE,
    within: { weather: { ...CLEAR, crash: 0.6 }, keys: 1, runMs: [100, 900] },
    without: { changes: claimsBlindly },
  },
  { rule: 'an entry is taken only from the dead', shows: AT_ONCE, within: {}, without: { wrapStore: deadOthers } },
];

// They prove the checker, which changes seldom.
if (isMatrix)
  describe('without a rule the checker finds a violation', () => {
    test.each(ABLATIONS)('$rule', { timeout: 120_000 }, (ablation) => proves(runOnce, ablation));
  });

/** What a call gets elsewhere, a second after the instance that runs its key came back with a new id. */
async function askedElsewhere(): Promise<unknown> {
  let told: unknown;
  await play({ slots: 2, endpoint: { leaseMs: 1_000 } }, async (stage) => {
    const scene = new OnceScene(stage.world);
    const key = { policy: 'fail', key: 'fail 1', ms: 4_000 } as const;
    const first = scene.call(stage.instance(0), key);
    await stage.until(() => scene.runs.length === 1, 'the handler to run');
    const before = stage.id(0);
    stage.instance(0).process.freeze(true);
    await stage.sleep(1_500);
    stage.instance(0).process.thaw(false);
    await stage.until(() => stage.id(0) !== before, 'a new id');
    await stage.sleep(1_000);
    const { by, refused } = await scene.call(stage.instance(1), key);
    expect(await first).toMatchObject({ by: 0 });
    told = refused ?? by;
  });
  return told;
}

test('an instance with a new id claims what it runs: without that, a call elsewhere takes its run for lost', async () => {
  expect(await askedElsewhere()).toBe(0);
  vi.spyOn(OwnedRecord.prototype, 'reclaim').mockImplementation(async () => {});
  expect(await askedElsewhere()).toBe('OWNER_LOST');
});
