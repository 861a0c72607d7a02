/**
 * Tasks and runs of `once()` in a world: clients start tasks at any instance, poll, answer and cancel, and call few keys
 * again and again, while instances crash, freeze, drain, lose their lease and the store. `task-ledger.ts` and `once.ts`
 * know what must not happen.
 */
import { type Faults, NO_FAULTS, type Range } from './faults.ts';
import { POLICIES } from './once.ts';
import { Random } from './random.ts';
import { TaskClient } from './task-client.ts';
import { TaskLedger } from './task-ledger.ts';
import { type Plan, TaskTools, type Tool, TOOLS } from './task-tools.ts';
import { brew, CLEAR, type Weather } from './weather.ts';
import { playIn } from './scheduler.ts';
import { World, type WorldOptions } from './world.ts';

const SLOTS = 3;
const ACTIVE_MS = 4_000;
/** Of every fourth seed: handlers that wait for a minute park. */
const LONG_MS = 66_000;
const PARK_MS = 60_000;
const LONGEST_MS = 2_000_000;
/** What a task may take without a client, once nothing fails any more: a renewal, a sweep, the pause after deaths. */
const ALONE_MS = 160_000;
/** The same, while its client polls; and what a call of `once()` may take then. */
const POLLED_MS = 20_000;
const ROUNDS = 8;

const WEATHER: Weather = {
  ...CLEAR,
  crash: 0.5,
  freeze: 0.4,
  suspend: 0.2,
  cutOff: 0.4,
  outage: 0.15,
  drain: 0.3,
};
/** Over a minute as many blows as over some seconds. */
const LONG_WEATHER = 0.15;
const FAULTS: Partial<Faults> = {
  store: [0.5, 8],
  storeFails: 0.02,
  storeReplyLost: 0.03,
  storeTwice: 0.03,
  mailLost: 0.1,
  httpCut: 0.01,
};

/** How clients behave. */
interface TaskHabits {
  readonly clients: number;
  readonly tools: readonly Tool[];
  readonly cancels: number;
  /** Whether the world is one in which handlers park. */
  readonly isLong: boolean;
  /** Nothing goes wrong. */
  readonly isCalm: boolean;
  /** The same for all tasks. */
  readonly plan?: Partial<Plan>;
  /** Each answer goes to another instance at the same time. */
  readonly isTogether?: boolean;
  /** Clients that call tools of `once()`, how many keys they share at a time, and how long the handlers run. */
  readonly callers: number;
  readonly keys: number;
  readonly onceMs: Range;
  /** Clients that update one state. */
  readonly counters: number;
}

export interface TasksOptions extends Partial<Pick<WorldOptions, 'changes'>> {
  readonly weather?: Partial<Weather>;
  readonly faults?: Partial<Faults>;
  readonly habits?: Partial<TaskHabits>;
  /** How long calls wait for the store before they are refused. */
  readonly maxWaitMs?: number;
  readonly traced?: boolean;
}

/** Instances that sleep for about as long as their lease lasts, and tasks that must not run again. */
const SLEEPY: TasksOptions = {
  weather: { ...CLEAR, freeze: 3 },
  faults: { storeFails: 0, storeReplyLost: 0, storeTwice: 0, mailLost: 0, httpCut: 0 },
  habits: { clients: 12, tools: ['plain', 'once', 'roundsOnce', 'keyed'] },
};

/** Clients that are refused. The task of a key that may be stored stays, as one that may have run. */
const IMPATIENT: TasksOptions = {
  maxWaitMs: 200,
  habits: { tools: TOOLS.filter((tool) => tool !== 'keyed') },
};

/** No write arrives twice: a creation that does so after its end was swept would make the record again. */
const STALLING: TasksOptions = {
  weather: { stall: 0.4 },
  faults: { storeStalls: 0.03, storeTwice: 0 },
};

const ASTRAY: TasksOptions = {
  weather: { clockJump: 0.4, setBack: 0.2, mailboxLoss: 0.4, apart: 0.3 },
  faults: { mailDoubled: 0.1, mailDelayed: 0.1 },
};

const KINDS: Readonly<Record<number, TasksOptions>> = {
  1: ASTRAY,
  2: STALLING,
  4: { ...STALLING, ...IMPATIENT },
  5: SLEEPY,
  6: IMPATIENT,
};

/** What befalls the seeds of `npm test`. */
export const optionsOf = (seed: number): TasksOptions =>
  KINDS[seed % 8] ?? { habits: { counters: 4 } };

/** One run, and what the ledger found in it. */
export async function runTasks(seed: number, options: TasksOptions = {}) {
  const {
    weather = {},
    faults = {},
    habits: changed = {},
    maxWaitMs,
    traced = false,
    ...rest
  } = options;
  const random = new Random(seed);
  const isLong = seed % 4 === 3;
  const once = { callers: 4, keys: 9, onceMs: [1, 400] as const, counters: 0 };
  const habits = {
    clients: isLong ? 6 : 8,
    tools: TOOLS,
    cancels: 0.15,
    isLong,
    isCalm: false,
    ...once,
    ...changed,
  };
  const world: World = new World({
    seed: random.int(2 ** 31),
    slots: SLOTS,
    endpoint: { tasks: true, maxWaitMs },
    faults: habits.isCalm ? NO_FAULTS : { ...NO_FAULTS, ...FAULTS, ...faults },
    traced,
    serverOf: ({ process }, context) => tools.server(process, context),
    ...rest,
  });
  const own = random.fork();
  const ledger = new TaskLedger(world, own.fork(), habits.onceMs);
  const tools = new TaskTools(ledger, (id) => void elsewhere(ledger, own, id));
  const begin = async (): Promise<void> => {
    for (let slot = 0; slot < SLOTS; slot++) void world.start(slot);
    ledger.well.watch();
    await play(ledger, random, { weather: { ...WEATHER, ...weather }, habits });
  };
  await playIn(world, begin);
  return {
    violations: world.ledger.violations,
    counts: { created: ledger.created.size, runs: ledger.runs.length, stored: ledger.once.stored },
    trace: world.trace ?? [],
  };
}

/** Another program completes a detached task, through any instance. */
async function elsewhere(ledger: TaskLedger, random: Random, id: string): Promise<void> {
  const { world } = ledger;
  ledger.detached.add(id);
  await world.scheduler.sleep(random.between(1, 300));
  for (;;) {
    const instance = world.slots[random.int(world.slots.length)];
    const tasks = instance?.process.state === 'running' ? instance.core?.tasks?.tasks : undefined;
    const ended =
      tasks === undefined
        ? 'away'
        : await instance?.process.whileAlive(tasks.end(id, COMPLETED), 'away');
    if (ended !== 'away') return;
    await world.scheduler.sleep(100);
  }
}

const COMPLETED = {
  status: 'completed',
  result: { content: [{ type: 'text', text: 'done elsewhere' }] },
} as const;

async function play(
  ledger: TaskLedger,
  random: Random,
  { weather, habits }: { readonly weather: Weather; readonly habits: TaskHabits },
): Promise<void> {
  const { world } = ledger;
  const activeMs = habits.isLong ? LONG_MS : ACTIVE_MS;
  world.activeUntil = activeMs;
  if (habits.isCalm) ledger.promptMs = 1_000;
  const strength = habits.isCalm ? 0 : habits.isLong ? LONG_WEATHER : 1;
  brew(world, random.fork(), weather, strength);
  const lives = Array.from({ length: habits.clients }, async (_, n) => {
    const own = random.fork();
    await live(ledger, new TaskClient(ledger, own, `c${n}`), own, habits, activeMs);
  });
  for (let n = 0; n < habits.callers; n++) {
    const own = random.fork();
    lives.push(callOnce(world, new TaskClient(ledger, own, `o${n}`), own, habits));
  }
  for (let n = 0; n < habits.counters; n++) {
    const own = random.fork();
    lives.push(count(ledger, new TaskClient(ledger, own, `n${n}`), own));
  }
  await Promise.all(lives);
  world.healed = true;
  await world.heal();
  await settle(ledger, random);
}

async function callOnce(
  world: World,
  client: TaskClient,
  random: Random,
  { keys }: TaskHabits,
): Promise<void> {
  while (world.now < ACTIVE_MS) {
    await world.scheduler.sleep(random.between(1, 60));
    const key = `${random.pick(POLICIES)} ${random.int(keys) + keys * Math.floor(world.now / 1_500)}`;
    await Promise.race([client.once(key), world.scheduler.sleep(random.between(500, 5_000))]);
  }
}

async function count(
  { world, counters }: TaskLedger,
  client: TaskClient,
  random: Random,
): Promise<void> {
  while (world.now < ACTIVE_MS) {
    await world.scheduler.sleep(random.between(1, 60));
    counters.answered(await client.count('count'));
  }
}

async function live(
  { world }: TaskLedger,
  client: TaskClient,
  random: Random,
  habits: TaskHabits,
  activeMs: number,
): Promise<void> {
  const { scheduler } = world;
  const isActive = (): boolean => world.now < activeMs;
  while (isActive()) {
    await scheduler.sleep(random.between(1, 150));
    const tool = random.pick(habits.tools);
    const plan =
      tool === 'keyed' ? sharedPlan(random, world.now) : { ...planOf(random), ...habits.plan };
    if (tool === 'keyed' && random.chance(0.2)) {
      await client.call(tool, plan);
      continue;
    }
    const id = await client.start(tool, plan);
    if (id === undefined) continue;
    const cancelAt = random.chance(habits.cancels) ? world.now + random.between(1, 600) : Infinity;
    const quitAt = random.chance(0.2) ? world.now + random.between(1, 1_000) : Infinity;
    // Its questions wait for long, so that it parks at the time of their answers.
    const isPatient = habits.isLong && random.chance(0.6);
    let askedAt: number | undefined;
    while (isActive() && world.now < quitAt) {
      await scheduler.sleep(random.between(5, isPatient ? 2_000 : 200));
      if (world.now >= cancelAt) await client.cancel(id);
      const task = await client.get(id);
      if (task === undefined || ['completed', 'failed', 'cancelled'].includes(task.status)) break;
      const keys = Object.keys(task['inputRequests'] ?? {});
      if (keys.length === 0) continue;
      askedAt ??= world.now;
      if (isPatient)
        await scheduler.sleep(askedAt + PARK_MS + random.between(-400, 100) - world.now);
      if (isPatient && random.chance(0.3)) await client.answer(id, keys.slice(0, 1));
      await client.answerAll(id, keys, habits.isTogether === true ? 1 : random.int(3));
      if (isPatient && random.chance(0.5)) break;
    }
  }
}

function planOf(random: Random): Plan {
  return {
    steps: random.int(3),
    ms: random.pick([1, 20, 200, 600]) * (0.5 + random.next()),
    asks: random.int(3),
    heeds: random.chance(0.7),
    rounds: 1 + random.int(2),
    key: `own ${random.int(2 ** 31)}`,
  };
}

/** Clients share a few keys at a time. Calls with one key have the same arguments. */
function sharedPlan(random: Random, now: number): Plan {
  const n = random.int(3) + 3 * Math.floor(now / 800);
  const ms = [1, 20, 200, 600][n % 4] ?? 1;
  return { steps: n % 3, ms, asks: n % 2, heeds: true, rounds: 1, key: String(n) };
}

/** Nothing goes wrong any more: every task ends, or waits for its client, and every instance says the same of it. */
async function settle(ledger: TaskLedger, random: Random): Promise<void> {
  const { world } = ledger;
  const client = new TaskClient(ledger, random.fork(), 'last');
  await world.scheduler.sleep(3 * world.leaseMs);
  ledger.latest = world.now + LONGEST_MS;
  await within(ledger, ALONE_MS, 'without a client', async () => {});
  for (let round = 0; round < ROUNDS && ledger.waiting.length > 0; round++) {
    await Promise.all(
      ledger.waiting.map((id) => client.answerAll(id, ledger.openOf(id), random.int(3))),
    );
    await within(
      ledger,
      POLLED_MS,
      'while it is polled',
      async (id) => void (await client.get(id)),
    );
  }
  for (const id of ledger.waiting) world.wrong(`${id} asks its client again and again`);
  for (const id of ledger.outcomes.keys())
    await Promise.all(world.slots.map((_, slot) => client.get(id, slot)));
  for (const key of ledger.once.keys) {
    const told = new Set<string>();
    for (const slot of world.slots.keys())
      told.add((await client.onceWithin(POLLED_MS, key, slot)) ?? 'no answer');
    ledger.once.settled(key, told);
  }
  let final: number | undefined;
  for (const latest = world.now + POLLED_MS; final === undefined && world.now < latest;)
    final = await client.count('counted');
  ledger.counters.settled(final);
  for (const instance of world.slots) {
    const running = instance?.core?.shutdown.sessionless;
    if (running !== 0)
      world.wrong(`${instance?.process.name} counts ${running} running requests at the end`);
  }
}

async function within(
  ledger: TaskLedger,
  ms: number,
  how: string,
  poll: (id: string) => Promise<void>,
): Promise<void> {
  const { world } = ledger;
  for (const latest = world.now + ms; ledger.unfinished.length > 0;) {
    await world.scheduler.sleep(500);
    await Promise.all(ledger.unfinished.map(poll));
    if (world.now < latest) continue;
    for (const id of ledger.unfinished)
      world.wrong(`${id} is stuck ${how}: ${ledger.describe(id)}`);
    return;
  }
}
