/**
 * Events in a world: instances emit, clients subscribe, refresh, unsubscribe and poll at any of them, while instances
 * crash, freeze, drain, lose their lease and the store, and callbacks fail, hang and die. An event whose emit was
 * answered reaches each subscription that was answered before, and events that follow each other arrive so.
 */
import { NO_FAULTS } from './faults.ts';
import type { Post, PostRequest, Posted } from '../../src/durable/events/webhook.ts';
import type { EventData } from '../../src/base/options/events-options.ts';
import { newSecret } from '../kit/callback.ts';
import type { SimProcess } from './process.ts';
import { Random } from './random.ts';
import { playIn } from './scheduler.ts';
import { TaskClient } from './task-client.ts';
import { TaskLedger } from './task-ledger.ts';
import { brew, CLEAR, type Weather } from './weather.ts';
import { World, type WorldOptions } from './world.ts';

const SLOTS = 3;
const EMITTERS = 3;
const SUBSCRIBERS = 5;
const POLLERS = 2;
const ACTIVE_MS = 6_000;
/** When nothing fails any more: two leases, and the longest pause of a callback that failed for so long. */
const SETTLED_MS = 120_000;
const POST_MS = 5_000;
const NAMES = ['made', 'gone'] as const;

const WEATHER: Weather = {
  ...CLEAR,
  crash: 0.5,
  freeze: 0.5,
  suspend: 0.2,
  cutOff: 0.4,
  outage: 0.15,
  drain: 0.4,
};
const FAULTS = {
  ...NO_FAULTS,
  store: [0.5, 8],
  storeFails: 0.02,
  storeReplyLost: 0.02,
  mailLost: 0.1,
  httpCut: 0.01,
} as const;

export interface EventsWorldOptions extends Partial<Pick<WorldOptions, 'changes'>> {
  readonly weather?: Partial<Weather>;
  readonly traced?: boolean;
}

/** Instances know the clock of the store so well, which decides about events of several instances. */
const CLOCK_MS = 150;

interface Emitted {
  readonly id: string;
  readonly name: string;
  readonly of: number;
  readonly begunAt: number;
  /** The instance, or a transaction. */
  readonly by: string;
  /** `Infinity`: no answer came. */
  answeredAt: number;
}

const shown = ({ id, by, begunAt, answeredAt }: Emitted): string =>
  `${id} (${by}, ${begunAt.toFixed(1)} to ${answeredAt.toFixed(1)})`;

type Mood = 'well' | 'fails' | 'hangs' | 'dead' | 'slow' | 'lies';

/** The server of a callback. */
class Callback {
  readonly url: string;
  mood: Mood = 'well';
  /** It has answered a challenge. */
  isKnown = false;
  /** Ids of events in the order in which it took them. */
  readonly taken: string[] = [];

  constructor(url: string) {
    this.url = url;
  }
}

/** A subscription, or a poller: what it must get, and what it got. */
interface Subscriber {
  readonly what: string;
  readonly name: string;
  readonly args: EventData;
  /** Emits that began later are for it, */
  from: number;
  /** and those that were answered before. */
  until: number;
  readonly taken: readonly string[];
}

class Events {
  readonly world: World;
  readonly emitted = new Map<string, Emitted>();
  readonly callbacks = new Map<string, Callback>();
  readonly subscribers: Subscriber[] = [];
  readonly #random: Random;

  constructor(world: World, random: Random) {
    this.world = world;
    this.#random = random;
  }

  /** How the instances of a process reach callbacks. What arrives after its death was sent before. */
  postOf(process: SimProcess): Post {
    return (request) =>
      new Promise((resolve) => {
        const answer = (posted: Posted, ms: number): void =>
          void this.world.scheduler.after(ms, () => process.enter(() => resolve(posted)));
        const arrive = (): void => {
          const [posted, ms] = this.#arrive(request, process.name);
          answer(posted, ms);
        };
        this.world.scheduler.after(this.#random.between(0.5, 15), arrive);
      });
  }

  #arrive({ url, message }: PostRequest, from: string): [Posted, number] {
    const callback = this.callbacks.get(url.href);
    if (callback === undefined) throw new Error(`no callback ${url.href}`);
    const { mood } = callback;
    const isChallenge = message.body.includes('"type":"verification"');
    const soon = this.#random.between(0.5, mood === 'slow' ? 1_500 : 15);
    if (mood === 'dead') return [{ ok: false, why: 'connection_refused' }, soon];
    if (mood === 'hangs') return [{ ok: false, why: 'timeout' }, POST_MS];
    if (mood === 'fails') return [{ ok: false, why: 'http_5xx', status: 503 }, soon];
    if (isChallenge) {
      const { challenge } = JSON.parse(message.body) as { challenge: string };
      if (mood !== 'lies') callback.isKnown = true;
      const body = JSON.stringify({ challenge: mood === 'lies' ? 'another' : challenge });
      return [{ ok: true, body }, soon];
    }
    if (!callback.isKnown) this.world.wrong(`${url.href} got a POST before its challenge`);
    if (message.body.includes('"type":')) this.world.wrong(`${url.href} got ${message.body}`);
    else callback.taken.push(message.id);
    this.world.note(`${url.href} took ${message.id} from ${from}`);
    // It has the event, and its answer is lost.
    if (this.#random.chance(0.03)) return [{ ok: false, why: 'timeout' }, POST_MS];
    return [{ ok: true, body: '' }, soon];
  }

  /** Each event that must have come, and no two in another order than they were emitted. */
  judge({ what, name, args, from, until, taken }: Subscriber): readonly string[] {
    const wrong: string[] = [];
    const first = [...new Set(taken)];
    const places = new Map(first.map((id, place) => [id, place]));
    for (const { id, begunAt, answeredAt, ...event } of this.emitted.values()) {
      const isFor = event.name === name && (args['of'] === undefined || args['of'] === event.of);
      if (!isFor && places.has(id)) wrong.push(`${what} got ${id}, which is not for it`);
      if (isFor && begunAt > from && answeredAt < until && !places.has(id))
        wrong.push(`${what} lost ${id}`);
    }
    let latest: Emitted | undefined;
    const latestBy = new Map<string, Emitted>();
    for (const id of first) {
      const event = this.emitted.get(id);
      if (event === undefined) wrong.push(`${what} got ${id}, which was not emitted`);
      // What was emitted before may come too, and late.
      if (event === undefined || event.begunAt < from || until < from) continue;
      // An event came before it that was emitted after its emit was answered.
      const own = latestBy.get(event.by);
      const before =
        event.answeredAt < (latest?.begunAt ?? 0) - CLOCK_MS
          ? latest
          : event.answeredAt < (own?.begunAt ?? 0)
            ? own
            : undefined;
      if (before !== undefined)
        wrong.push(`${what} got ${shown(event)} too late, after ${shown(before)}`);
      if (event.begunAt > (latest?.begunAt ?? -1)) latest = event;
      if (event.begunAt > (own?.begunAt ?? -1)) latestBy.set(event.by, event);
    }
    return wrong;
  }
}

export async function runEvents(seed: number, options: EventsWorldOptions = {}) {
  const { weather = {}, traced = false, ...rest } = options;
  const random = new Random(seed);
  const match = (args: EventData, { data }: { readonly data: EventData }): boolean =>
    args['of'] === undefined || args['of'] === data['of'];
  const types = { made: { match }, gone: { by: ['of'] } };
  const world: World = new World({
    seed: random.int(2 ** 31),
    slots: SLOTS,
    endpoint: {
      maxWaitMs: seed % 4 === 0 ? 200 : undefined,
      events: { types, trustedCallback: () => true },
    },
    faults: FAULTS,
    traced,
    postOf: (process) => events.postOf(process),
    ...rest,
  });
  const events = new Events(world, random.fork());
  const begin = async (): Promise<void> => {
    for (let slot = 0; slot < SLOTS; slot++) void world.start(slot);
    world.activeUntil = ACTIVE_MS;
    brew(world, random.fork(), { ...WEATHER, ...weather });
    await play(events, random);
  };
  await playIn(world, begin);
  const { emitted, subscribers } = events;
  return {
    violations: world.ledger.violations,
    counts: {
      emitted: emitted.size,
      taken: subscribers.reduce((sum, { taken }) => sum + taken.length, 0),
    },
    trace: world.trace ?? [],
  };
}

async function play(events: Events, random: Random): Promise<void> {
  const { world } = events;
  const ledger = new TaskLedger(world, random.fork(), [0, 1]);
  const client = (name: string): TaskClient => new TaskClient(ledger, random.fork(), name);
  const pollers = Array.from({ length: POLLERS }, (_, n) => new Poller(events, n, client(`p${n}`)));
  const lives = [
    ...Array.from({ length: EMITTERS }, (_, n) => emitAll(events, random.fork(), n)),
    ...Array.from({ length: SUBSCRIBERS }, (_, n) =>
      subscribeAll(events, client(`s${n}`), random.fork(), n),
    ),
    ...pollers.map((poller) => poller.live(random.fork())),
  ];
  await Promise.all(lives);
  world.healed = true;
  for (const callback of events.callbacks.values()) callback.mood = 'well';
  await world.heal();
  await world.scheduler.sleep(3 * world.leaseMs);
  const missing = () => events.subscribers.flatMap((one) => events.judge(one));
  for (const latest = world.now + SETTLED_MS; missing().length > 0 && world.now < latest;) {
    await world.scheduler.sleep(500);
    for (const poller of pollers) await poller.poll();
  }
  for (const what of missing()) world.wrong(what);
}

/** An application that emits one event after the other, at any instance; some of them in a transaction that waits. */
async function emitAll({ world, emitted }: Events, random: Random, emitter: number) {
  for (let n = 0; world.now < ACTIVE_MS; n++) {
    await world.scheduler.sleep(random.between(1, 60));
    const instance = world.slots[random.int(world.slots.length)];
    const events = instance?.process.state === 'running' ? instance.core?.events : undefined;
    if (instance === undefined || events === undefined) continue;
    const id = `e${emitter}.${n}`;
    const [name, of] = [random.pick(NAMES), random.int(3)];
    let record: ReturnType<typeof events.emitting.recordOf> | undefined;
    const isLater = random.chance(0.1);
    instance.process.enter(() => {
      record = events.emitting.recordOf(name, { of }, { eventId: id }, isLater);
    });
    if (isLater) await world.scheduler.sleep(random.between(50, 500));
    const by = isLater ? id : instance.process.name;
    const begun = { id, name, of, by, begunAt: world.now, answeredAt: Infinity };
    const made = record;
    if (made === undefined) continue;
    emitted.set(id, begun);
    const stored = new Promise<'stored'>((resolve, reject) =>
      instance.process.enter(() => {
        events.emitting.emit(made).then(() => resolve('stored'), reject);
      }),
    );
    if ((await instance.process.whileAlive(stored, 'away')) === 'stored')
      begun.answeredAt = world.now;
  }
}

const MOODS: readonly Mood[] = ['well', 'well', 'well', 'fails', 'hangs', 'dead', 'slow', 'lies'];

async function subscribeAll(events: Events, client: TaskClient, random: Random, n: number) {
  const { world } = events;
  for (let round = 0; world.now < ACTIVE_MS; round++) {
    await world.scheduler.sleep(random.between(1, 400));
    const callback = new Callback(`https://callback${n}.example/${round}`);
    events.callbacks.set(callback.url, callback);
    const of = random.pick([undefined, 0, 1]);
    const [name, args] = [random.pick(NAMES), of === undefined ? {} : { of }];
    const delivery = { mode: 'webhook', url: callback.url, secret: newSecret() };
    const params = { name, arguments: args, delivery };
    const answer = await client.post('events/subscribe', params);
    if (answer.result === undefined) continue;
    const what = `${callback.url} of ${name} ${JSON.stringify(args)}`;
    const { taken } = callback;
    const subscriber = { what, name, args, from: world.now, until: Infinity, taken };
    events.subscribers.push(subscriber);
    const until = world.now + random.between(500, ACTIVE_MS);
    while (world.now < Math.min(until, ACTIVE_MS)) {
      callback.mood = random.pick(MOODS);
      await world.scheduler.sleep(random.between(50, 1_500));
      if (random.chance(0.1)) await client.post('events/subscribe', params);
    }
    callback.mood = 'well';
    if (world.now >= ACTIVE_MS) return;
    if (random.chance(0.5)) continue;
    // What is on its way need not come, and a refresh may overtake this.
    subscriber.until = -Infinity;
    await client.post('events/unsubscribe', params);
  }
}

class Poller {
  readonly #events: Events;
  readonly #client: TaskClient;
  readonly #name: (typeof NAMES)[number];
  readonly #taken: string[] = [];
  readonly #what: string;
  #cursor: string | undefined;

  constructor(events: Events, n: number, client: TaskClient) {
    this.#events = events;
    this.#client = client;
    this.#name = NAMES[n % NAMES.length] ?? 'made';
    this.#what = `poller ${n}`;
  }

  async live(random: Random): Promise<void> {
    const { world } = this.#events;
    while (world.now < ACTIVE_MS) {
      await world.scheduler.sleep(random.between(5, 500));
      await this.poll();
    }
  }

  async poll(): Promise<void> {
    const params = { name: this.#name, arguments: {}, cursor: this.#cursor ?? null };
    const { result } = await this.#client.post('events/poll', params);
    if (result === undefined) return;
    for (const { eventId } of result['events'] as Array<{ eventId: string }>)
      this.#taken.push(eventId);
    if (this.#cursor === undefined) {
      const [what, name, taken] = [this.#what, this.#name, this.#taken];
      const from = this.#events.world.now;
      this.#events.subscribers.push({ what, name, args: {}, from, until: Infinity, taken });
    }
    this.#cursor = String(result['cursor']);
  }
}
