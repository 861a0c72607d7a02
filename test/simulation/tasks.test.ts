/** Tasks and calls that run once, in worlds that go wrong; and the same worlds without one of the rules that keep them. */
import { describe, expect, test } from 'vitest';
import { STATES, TASKS } from '../../src/session/record/record-kinds.ts';
import { isEnded, type Records, type StoredRecord } from '../../src/stores/store.ts';
import { OwnedRecord } from '../../src/durable/records/owned-record.ts';
import { isMatrix } from '../kit/matrix.ts';
import { type Ablation, ownersAreDead, patched, proves } from './ablation.ts';
import { NO_FAULTS } from './faults.ts';
import { Random } from './random.ts';
import type { StoreChanges } from './sim-store.ts';
import { play, type StageOptions } from './stage.ts';
import { addsAgain, claimsBlindly, createsAgain, endsAgain, missesRings } from './store-rules.ts';
import { TaskClient } from './task-client.ts';
import { TaskLedger } from './task-ledger.ts';
import { TaskTools } from './task-tools.ts';
import { optionsOf, runTasks, type TasksOptions } from './tasks.ts';
import { CLEAR } from './weather.ts';

const SEEDS = isMatrix ? 1_000 : 8;

test(
  `${SEEDS} seeds: every task ends once, no recorded step runs again, no answer is lost; each key of once() has one outcome`,
  { timeout: 60_000 + 10_000 * SEEDS },
  async () => {
    const total = { created: 0, runs: 0, stored: 0 };
    const found: Array<[seed: number, violations: readonly string[]]> = [];
    for (let seed = 0; seed < SEEDS; seed++) {
      const { violations, counts } = await runTasks(seed, optionsOf(seed));
      for (const name of ['created', 'runs', 'stored'] as const) total[name] += counts[name];
      if (violations.length > 0) found.push([seed, violations]);
    }
    expect(found).toEqual([]);
    expect(total.runs).toBeGreaterThan(total.created);
    expect(total.stored).toBeGreaterThan(SEEDS);
  },
);

/** The records of tasks, with other functions in place of some. */
const changed = (change: (records: Records) => Partial<Records>): StoreChanges => ({
  records: (records, _data, kind) => (kind === TASKS ? change(records) : {}),
});

/** An instance that ends a task which was claimed since takes it for ended. */
const endsOnce = changed((records) => ({
  end: async (...given) => {
    const outcome = await records.end(...given);
    return outcome === 'fenced' ? 'gone' : outcome;
  },
}));

/** After an answer is added, the task is as it was read before, with this answer. */
const readsBefore = changed((records) => {
  const seen = new Map<string, StoredRecord>();
  return {
    add: async (id, field, text) => {
      const before = seen.get(id) ?? (await records.read(id));
      const added = await records.add(id, field, text);
      if (before !== undefined && 'fields' in before)
        seen.set(id, { ...before, fields: { ...before.fields, [field]: text } });
      return added;
    },
    read: async (id) => {
      const before = seen.get(id);
      seen.delete(id);
      return before ?? (await records.read(id));
    },
  };
});

/** What a run records is stored, also after another instance has claimed the task. */
const unfencedSteps = changed((records) => ({
  append: async (request) => {
    const record = await records.read(request.id);
    const owns = record !== undefined && !isEnded(record) && record.owner !== null;
    return records.append(
      owns ? { ...request, fence: { epoch: record.epoch, owner: record.owner ?? '' } } : request,
    );
  },
}));

/** A change whose answer was lost, and that others followed, is not found in the head, and made again. */
const namesNoWriters: StoreChanges = {
  records: (records, _data, kind) =>
    kind === STATES
      ? {
          save: (id, fence, change) =>
            records.save(id, fence, {
              ...change,
              ...(change.head && { head: withoutWriters(change.head) }),
            }),
        }
      : {},
};

const withoutWriters = (head: string): string =>
  JSON.stringify((JSON.parse(head) as unknown[]).slice(0, 2));

/** Handlers that ask two questions at once, and do nothing else. */
const PAIR = { steps: 0, ms: 1, asks: 2, rounds: 2 };

const SLOW_STORE = { ...NO_FAULTS, store: [0.5, 8] } as const;

/** No tasks, and calls of `once()`. */
const ONCE = { clients: 0, callers: 6, isLong: false } as const;

/** Every other instance counts as dead. */
const deadOthers: StoreChanges = { instances: () => ({ read: () => undefined }) };

const ABLATIONS: readonly Ablation<TasksOptions>[] = [
  {
    rule: 'what a living instance owns is not taken over',
    shows: /was claimed from .* which lives/,
    within: {},
    without: {},
    patch: ownersAreDead,
  },
  {
    rule: 'an entry of once() that is there is not created again',
    shows: /^fail \d+ ran again/,
    within: { habits: ONCE },
    without: { changes: createsAgain },
  },
  {
    rule: 'a claim of an entry names what its caller read',
    shows: /^run \d+ ran twice at once/,
    within: { weather: { ...CLEAR, crash: 0.6 }, habits: { ...ONCE, keys: 1, onceMs: [100, 900] } },
    without: { changes: claimsBlindly },
  },
  {
    rule: 'an entry is taken only from the dead',
    shows: /^run \d+ ran twice at once/,
    within: { habits: ONCE },
    without: { changes: deadOthers },
  },
  {
    rule: 'the head of a state names its writers',
    shows: /^\d+ updates were made by/,
    within: {
      weather: CLEAR,
      faults: { ...SLOW_STORE, storeReplyLost: 0.1 },
      habits: { clients: 0, callers: 0, counters: 6, isLong: false },
    },
    without: { changes: namesNoWriters },
  },
  {
    rule: 'of two calls with the same key one creates the task',
    shows: /ran again, and may not/,
    within: {
      weather: CLEAR,
      faults: SLOW_STORE,
      habits: { isLong: false, tools: ['keyed'], cancels: 0 },
    },
    without: { changes: createsAgain },
  },
  {
    rule: 'the first end of a task stays',
    shows: /ends again/,
    within: { weather: CLEAR, faults: SLOW_STORE, habits: { cancels: 1, isLong: false } },
    without: { changes: endsAgain },
  },
  {
    rule: 'an end names what was read, and is tried again',
    shows: /was cancelled, and continues/,
    within: {
      weather: { ...CLEAR, drain: 1 },
      faults: SLOW_STORE,
      habits: {
        cancels: 1,
        isLong: false,
        tools: ['rounds', 'roundsOnce'],
        plan: { ...PAIR, asks: 1 },
      },
    },
    without: { changes: endsOnce },
  },
  {
    rule: 'an owner that parks names the answers that it has read',
    shows: /is stuck/,
    within: {
      weather: CLEAR,
      faults: { ...SLOW_STORE, mailLost: 0.9 },
      habits: { isLong: true, tools: ['resumes'] },
    },
    without: { changes: missesRings },
  },
  {
    rule: 'of two answers to a question the first stays',
    shows: /got .* for .*; first was/,
    within: { weather: CLEAR, faults: SLOW_STORE, habits: { isLong: false } },
    without: { changes: addsAgain },
  },
  {
    rule: 'each of the last two answers is added, and then the task is read',
    shows: /was answered, and continued/,
    within: {
      habits: {
        isCalm: true,
        isLong: false,
        tools: ['rounds'],
        clients: 3,
        plan: PAIR,
        isTogether: true,
      },
    },
    without: { changes: readsBefore },
  },
  {
    rule: 'of two instances that take over one claims the task',
    shows: /ran twice at once|was claimed from/,
    within: {
      weather: { ...CLEAR, crash: 1 },
      faults: SLOW_STORE,
      habits: { isLong: false, tools: ['resumes'] },
    },
    without: { changes: claimsBlindly },
  },
  {
    rule: 'an instance with a new id claims what it runs',
    shows: /ran twice at once|though run \d+ is well/,
    within: {
      weather: { ...CLEAR, freeze: 1 },
      habits: { isLong: true, tools: ['once', 'resumes'] },
    },
    without: {},
    patch: patched(OwnedRecord.prototype, 'reclaim', () => async () => {}),
  },
  {
    rule: 'a run records nothing once another instance has claimed its task',
    shows: /records after run|was recorded, and begins again/,
    within: {
      weather: { ...CLEAR, freeze: 3 },
      habits: {
        isLong: false,
        tools: ['resumes', 'hinted'],
        clients: 12,
        plan: { steps: 2, ms: 300, asks: 0 },
      },
    },
    without: { changes: unfencedSteps },
  },
];

// They prove the ledger, which changes seldom.
if (isMatrix)
  describe('without a rule the ledger finds a violation', () => {
    test.each(ABLATIONS)('$rule', { timeout: 120_000 }, (ablation) => proves(runTasks, ablation));
  });

// The rule of this name is taken away above.
test('an instance with a new id claims what it runs: a call elsewhere, a second later, waits for its run', async () => {
  let ledger: TaskLedger;
  const serverOf: StageOptions['serverOf'] = ({ process }, context) =>
    new TaskTools(ledger, () => {}).server(process, context);
  await play({ slots: 2, endpoint: { tasks: true }, serverOf }, async (stage) => {
    const random = new Random(1);
    ledger = new TaskLedger(stage.world, random, [4_000, 4_000]);
    const client = new TaskClient(ledger, random, 'c');
    const first = client.onceWithin(20_000, 'fail 1', 0);
    await stage.until(() => ledger.once.runs.length === 1, 'the handler to run');
    const before = stage.id(0);
    stage.instance(0).process.freeze(true);
    await stage.sleep(1_500);
    stage.instance(0).process.thaw(false);
    await stage.until(() => stage.id(0) !== before, 'a new id');
    await stage.sleep(1_000);
    expect(await client.onceWithin(20_000, 'fail 1', 1)).toBe('run 0');
    expect(await first).toBe('run 0');
  });
});

test('an application that is asked after a crash, at an instance that lost the call in the meantime, runs nothing there', async () => {
  let ledger: TaskLedger;
  const serverOf: StageOptions['serverOf'] = ({ process }, context) =>
    new TaskTools(ledger, () => {}).server(process, context);
  await play({ slots: 3, endpoint: { tasks: true }, serverOf }, async (stage) => {
    const random = new Random(1);
    ledger = new TaskLedger(stage.world, random, [1_000, 1_000]);
    const client = new TaskClient(ledger, random, 'c');
    void client.once('ask 1', 0);
    await stage.until(() => ledger.once.runs.length === 1, 'the handler to run');
    stage.world.kill(stage.instance(0));
    const first = client.once('ask 1', 1);
    await stage.until(() => ledger.once.asked.size === 1, 'the application to be asked');
    stage.instance(1).process.freeze(true);
    const second = client.onceWithin(20_000, 'ask 1', 2);
    await stage.until(() => ledger.once.runs.length === 2, 'the handler to run elsewhere');
    stage.instance(1).process.thaw(true);
    expect(await second).toBe('run 1');
    expect(await first).toMatch(/another instance runs it/);
    expect(ledger.once.runs.length).toBe(2);
  });
});
