/** One run: a seed, its scenario, and what the checker says of it. */
import { check } from './checker.ts';
import { SimClient } from './client.ts';
import { Random } from './random.ts';
import { scenarioOf, type Kind, type Scenario } from './scenario.ts';
import { countTurns } from './scheduler.ts';
import type { Happened } from './store-data.ts';
import type { StoreRules } from './store-rules.ts';
import { brew } from './weather.ts';
import { World, type WorldOptions } from './world.ts';

export interface RunOptions extends Partial<Pick<WorldOptions, 'wrapStore' | 'lets' | 'onProcess'>> {
  readonly traced?: boolean;
  readonly kind?: Kind;
  readonly rules?: StoreRules;
  readonly change?: (scenario: Scenario) => Scenario;
}

export interface RunResult {
  readonly scenario: Scenario;
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  readonly events: number;
  readonly calls: number;
  readonly results: number;
}

/** After everything was healed, nobody needs longer. */
const CALM_MS = 25_000;
/** Ten times what the busiest runs take. */
const EVENTS = 60_000;
/** What a client does last must wait until leases of the dead have run out, and streams have been found again. */
const SETTLE_MS = 3_000;

export async function run(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const { kind, change, traced = false, ...rest } = options;
  const chosen = scenarioOf(seed, kind);
  const scenario = change === undefined ? chosen : change(chosen);
  const random = new Random(seed);
  const { slots, endpoint, faults } = scenario;
  const world = new World({ seed: random.int(2 ** 31), slots, endpoint, faults, traced, ...rest });
  world.activeUntil = scenario.activeMs;
  world.data.onHappened = (what) => checkEnd(world, scenario, what);
  const stopCounting = countTurns();
  const rejected = (error: unknown): void =>
    world.ledger.violation(
      `an unhandled rejection: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  const stopListening = hearRejections(rejected);
  try {
    let living = 0;
    const live = async (client: SimClient, own: Random): Promise<void> => {
      living += 1;
      await life(world, scenario, client, own, clients);
      living -= 1;
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
          headPatience: random.pick([1_500, 4_000]),
        }),
    );
    for (let slot = 0; slot < slots; slot++) void world.start(slot);
    brew(world, random.fork(), scenario.weather);
    for (const client of clients) {
      const own = random.fork();
      world.scheduler.at(own.between(5, 50), () => void live(client, own));
    }
    let healedAt = Infinity;
    world.scheduler.at(scenario.activeMs, () => {
      world.healed = true;
      healedAt = world.now;
      void world.heal();
    });
    const { scheduler } = world;
    await scheduler.run(
      () =>
        (living === 0 && world.healed && world.now > healedAt) ||
        world.now > healedAt + CALM_MS ||
        scheduler.events > EVENTS,
    );
    if (scheduler.events > EVENTS) world.ledger.violation(`more than ${EVENTS} events: something goes round and round`);
    else if (living > 0) world.ledger.violation(`${living} clients could not finish within ${CALM_MS} ms of calm`);
    await new Promise<void>((done) => setImmediate(done));
  } finally {
    stopListening();
    stopCounting();
  }
  const { calls } = world.ledger;
  return {
    scenario,
    violations: check(world.ledger, world.data),
    trace: world.trace ?? [],
    events: world.scheduler.events,
    calls: calls.length,
    results: calls.filter(({ ending }) => ending?.kind === 'result').length,
  };
}

/** A rejection that nobody handles ends a real process. */
function hearRejections(heard: (error: unknown) => void): () => void {
  const others = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', heard);
  return () => {
    process.off('unhandledRejection', heard);
    for (const listener of others) process.on('unhandledRejection', listener);
  };
}

// ——— what a client does with its life ———

async function life(
  world: World,
  scenario: Scenario,
  client: SimClient,
  random: Random,
  clients: readonly SimClient[],
): Promise<void> {
  const { scheduler } = world;
  let over = false;
  let listening: Promise<void> = Promise.resolve();
  const enter = async (): Promise<void> => {
    await client.open();
    listening = client.listen(() => over);
    if (random.chance(0.6)) void client.call('tools/list');
  };
  await enter();
  while (world.now < scenario.activeMs) {
    const [low, high] = scenario.thinkMs;
    await scheduler.sleep(random.between(low, high));
    if (client.gone) {
      if (random.chance(0.5)) await client.probe();
      else await enter();
      continue;
    }
    if (client.pending.size >= scenario.concurrency) await Promise.race(client.pending);
    await act(scenario, client, random, clients);
  }
  while (!world.healed) await scheduler.sleep(10);
  await scheduler.sleep(SETTLE_MS);
  while (client.pending.size > 0) await Promise.all(client.pending);
  if (client.gone) await enter();
  if (!client.gone) await last(world, client);
  over = true;
  client.getResponse?.close();
  await listening;
}

async function act(
  { actions }: Scenario,
  client: SimClient,
  random: Random,
  clients: readonly SimClient[],
): Promise<void> {
  const ms = random.between(5, 700);
  const patience = random.chance(0.3) ? { patience: random.between(200, 2_000) } : {};
  switch (random.weighted(actions)) {
    case 'effect':
      void client.call('effect', patience);
      break;
    case 'slowEffect':
      void client.call('effect', { ms, ...patience });
      break;
    case 'count':
      void client.call('count', { ms: random.chance(0.2) ? ms : 0, ...patience });
      break;
    case 'peek':
      void client.call('peek', patience);
      break;
    case 'read':
      void client.call('read', patience);
      break;
    case 'slowRead':
      void client.call('read', { ms });
      break;
    case 'ask':
      void client.call('ask', patience);
      break;
    case 'slow':
      void client.call('slow', { ms });
      break;
    case 'slowOnce':
      void client.call('slowOnce', { ms });
      break;
    case 'push':
      void client.call('push');
      break;
    case 'list':
      void client.call('tools/list');
      break;
    case 'cancel':
      void client.call(random.pick(['effect', 'slow', 'ask']), { ms, cancelAfter: random.between(1, ms) });
      break;
    case 'leave':
      void client.call(random.pick(['effect', 'slow', 'slowOnce', 'ask']), { ms, leaveAfter: random.between(1, ms) });
      break;
    case 'leaveGet':
      client.getResponse?.close();
      break;
    case 'trespass': {
      const other = random.pick(clients);
      if (other !== client) await client.trespass(other);
      break;
    }
    case 'delete':
      await client.delete();
      break;
  }
}

/** In calm weather everything works. */
async function last(world: World, client: SimClient): Promise<void> {
  const { ledger, scheduler } = world;
  const { story } = client;
  const failed = (what: string): void => {
    if (!ledger.lost.some(({ sessions }) => sessions.has(story?.id ?? '')))
      ledger.violation(`${client.name}: ${what} in calm weather`);
  };
  for (const tool of ['count', 'peek', 'ask', 'effect']) {
    const { ending } = await client.call(tool);
    if (ending?.kind !== 'result') failed(`${tool} ended as ${JSON.stringify(ending)}`);
  }
  for (let n = 0; client.getResponse === undefined && n < 100; n++) await scheduler.sleep(50);
  if (client.getResponse === undefined) return failed('no GET stream');
  const { nonce, ending } = await client.call('push');
  if (ending?.kind !== 'result') failed(`push ended as ${JSON.stringify(ending)}`);
  for (let n = 0; !client.pushed.has(`sim://${nonce}`) && n < 40; n++) await scheduler.sleep(50);
  if (!client.pushed.has(`sim://${nonce}`)) failed(`what was pushed never came (${nonce})`);
}

// ——— why sessions end ———

function checkEnd(world: World, { endpoint }: Scenario, { kind, id, reason }: Happened): void {
  const story = world.ledger.sessions.get(id);
  if (kind !== 'ended' || story === undefined || world.ledger.lost.some(({ sessions }) => sessions.has(id))) return;
  const say = (what: string): void => world.ledger.violation(`${world.now.toFixed(3)} session ${id} ended: ${what}`);
  if (reason === 'deleted') {
    if (story.deleteSentAt === undefined) say('deleted by nobody');
  } else if (reason === 'idle') {
    const silent = world.now - story.activeAt;
    const { idleTimeoutMs = Infinity } = endpoint;
    if (silent < idleTimeoutMs) say(`idle after ${silent.toFixed(0)} ms of silence (of ${idleTimeoutMs})`);
    else if (story.readers > 0) say('idle, with a reader');
  } else {
    say(`${String(reason)}, for no reason`);
  }
}
