/** One run: a seed, its scenario, and what the checker says of it. */
import type { McpEndpointOptions } from '../../src/base/options/mcp-endpoint-options.ts';
import { endReasonOf } from '../../src/session/record/session-record.ts';
import { isEnded } from '../../src/stores/store.ts';
import { check } from './checker.ts';
import { SimClient } from './client.ts';
import { checkLeftovers } from './leftovers.ts';
import type { Patience } from './ledger.ts';
import { life } from './life.ts';
import { Random } from './random.ts';
import { scenarioOf, type Kind, type Scenario } from './scenario.ts';
import { playIn } from './scheduler.ts';
import type { Change } from './store-data.ts';
import { brew } from './weather.ts';
import { World, type WorldOptions } from './world.ts';

export interface RunOptions extends Partial<Pick<WorldOptions, 'lets' | 'onProcess' | 'changes'>> {
  readonly traced?: boolean;
  readonly kind?: Kind;
  readonly change?: (scenario: Scenario) => Scenario;
  /** Of the instances, though their scenario says otherwise. */
  readonly endpoint?: McpEndpointOptions;
}

export interface RunResult {
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  readonly events: number;
  readonly calls: number;
  readonly results: number;
}

/** After everything was healed, no client needs longer. */
const CALM_MS = 25_000;
/** Ten times what the busiest runs take. */
const EVENTS = 60_000;
export async function run(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const { kind, change, traced = false, endpoint: other, ...rest } = options;
  const chosen = scenarioOf(seed, kind);
  const scenario = change === undefined ? chosen : change(chosen);
  const random = new Random(seed);
  const { slots, endpoint, faults } = scenario;
  const world = new World({
    seed: random.int(2 ** 31),
    slots,
    endpoint: { ...endpoint, ...other },
    faults,
    traced,
    ...rest,
  });
  world.ledger.patience = patienceOf(scenario);
  world.activeUntil = scenario.activeMs;
  world.data.onChange = (what) => checkEnd(world, scenario, what);
  const { scheduler } = world;
  const living = new Set<SimClient>();
  const live = async (client: SimClient, own: Random): Promise<void> => {
    await scheduler.sleep(own.between(5, 50));
    living.add(client);
    await life(world, scenario, client, own, clients);
    living.delete(client);
  };
  const clients = Array.from(
    { length: scenario.clients },
    (_, n) =>
      new SimClient({
        world,
        name: `c${n}`,
        random: random.fork(),
        version: scenario.version,
        answerDelay: random.pick([
          [1, 20],
          [1, 800],
        ]),
        answersTwice: random.pick([0, 0.5]),
        headPatience: random.pick([1_500, PATIENT_MS]),
        isProxied: scenario.endpoint.attemptHeader !== undefined,
      }),
  );
  const begin = async (): Promise<void> => {
    for (let slot = 0; slot < slots; slot++) void world.start(slot);
    brew(world, random.fork(), scenario.weather);
    const lives = clients.map((client) => live(client, random.fork()));
    await scheduler.sleep(scenario.activeMs);
    world.healed = true;
    void world.heal();
    await Promise.race([Promise.all(lives), scheduler.sleep(CALM_MS)]);
  };
  await playIn(world, begin, EVENTS);
  for (const { name, story } of living)
    if (!world.ledger.lost.some(({ sessions }) => sessions.has(story?.id ?? '')))
      world.wrong(`${name} could not finish within ${CALM_MS} ms of calm`);
  if (living.size === 0) checkLeftovers(world);
  const { calls } = world.ledger;
  return {
    violations: check(world.ledger, world.data),
    trace: world.trace ?? [],
    events: world.scheduler.events,
    calls: calls.length,
    results: calls.filter(({ ending }) => ending?.kind === 'result').length,
  };
}

/** How long an outage of the weather lasts at most: three leases. */
const LONGEST_OUTAGE_MS = 3_000;
/** What the official clients wait. */
const PATIENT_MS = 60_000;

function patienceOf({ slots, kind, endpoint, version, weather }: Scenario): Patience {
  const { maxWaitMs = 15_000 } = endpoint;
  const isAway = kind === 'outages' || kind === 'longOutages';
  const storeOnly = isAway && weather.drain === 0 && weather.crash === 0;
  const areLogged =
    version >= '2025-11-25' &&
    endpoint.eventRetention !== false &&
    endpoint.responseMode !== 'json';
  return {
    maxWaitMs,
    storeOnly,
    alone: slots === 1,
    ownersStay: kind === 'longOutages' && areLogged,
    calm: storeOnly && maxWaitMs > LONGEST_OUTAGE_MS,
    patientMs: PATIENT_MS,
  };
}

// ——— why sessions end ———

function checkEnd(world: World, { endpoint }: Scenario, { id, value }: Change): void {
  const story = world.ledger.sessions.get(id);
  if (
    !isEnded(value) ||
    story === undefined ||
    world.ledger.lost.some(({ sessions }) => sessions.has(id))
  )
    return;
  const say = (what: string): void =>
    world.wrong(`${world.now.toFixed(3)} session ${id} ended: ${what}`);
  const reason = endReasonOf(value);
  if (reason === 'deleted') {
    if (story.deleteSentAt === undefined) say('deleted by no client');
  } else if (reason === 'idle') {
    const silent = world.now - story.activeAt;
    const { idleTimeoutMs = Infinity } = endpoint;
    if (silent < idleTimeoutMs)
      say(`idle after ${silent.toFixed(0)} ms of silence (of ${idleTimeoutMs})`);
    else if (story.readers > 0) say('idle, with a reader');
  } else {
    say(`${String(reason)}, for no reason`);
  }
}
