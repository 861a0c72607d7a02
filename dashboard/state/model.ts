/**
 * What the page knows of the deployment. Messages of the stream change the model at once; the signals that views read
 * follow when the page is seen and not paused.
 */
import { batch, computed, effect, signal } from '@preact/signals';
import type {
  FleetSnapshot,
  FleetEvent,
  Hello,
  HourBin,
  StoppedInstance,
  StopDropped,
} from '../../src/dashboard/wire.ts';
import { Stream } from '../net/stream.ts';
import { toast } from '../ui/toast.tsx';
import { type Lane, Lanes } from './lanes.ts';
import { type Bin, Minute } from './minute.ts';

const HOUR_MS = 3_600_000;
const EVENTS = 200;
const STOPS = 16;

export type Connection =
  | { readonly state: 'opening' | 'live' }
  /** `token`: the server wants one. `wrong`: it refused the given token. */
  | { readonly state: 'token'; readonly wrong: boolean }
  | { readonly state: 'lost'; readonly name: string; readonly retryAt: number };

export const connection = signal<Connection>({ state: 'opening' });
export const hello = signal<Hello | undefined>(undefined);
export const fleet = signal<FleetSnapshot | undefined>(undefined);
export const bins = signal<readonly Bin[]>([]);
export const lanes = signal<readonly Lane[]>([]);
/** Newest first. */
export const events = signal<readonly FleetEvent[]>([]);
export const stops = signal<readonly StoppedInstance[]>([]);
/** Oldest first. */
export const hour = signal<readonly HourBin[]>([]);
export const paused = signal(false);
/** The time of what is shown, by the clock of the server. */
export const now = computed(() => fleet.value?.at ?? hello.value?.at ?? Date.now());
/** What an id of an instance is called. A new map only for a new name: what 10,000 rows are called depends on it. */
const names = signal<ReadonlyMap<string, string>>(new Map());

function learnNames({ instances }: FleetSnapshot): void {
  const known = names.peek();
  const news = instances.filter(({ id, name }) => known.get(id) !== name);
  if (news.length > 0) names.value = new Map([...known, ...news.map(({ id, name }) => [id, name] as const)]);
}

export const nameOf = (id: string | undefined): string | undefined =>
  id === undefined ? undefined : (names.value.get(id) ?? id.slice(0, 8));

const minute = new Minute();
const laneList = new Lanes();
const latest: { fleet?: FleetSnapshot; events: FleetEvent[]; stops: StoppedInstance[]; hour: HourBin[] } = {
  events: [],
  stops: [],
  hour: [],
};
/** What views do not have yet. */
let isBehind = false;

/** Newest first, each id once. */
function newestFirst<T extends { readonly id: string; readonly at: number }>(all: readonly T[], one: T, most: number) {
  const others = all.filter(({ id }) => id !== one.id);
  return [one, ...others].sort((a, b) => b.at - a.at).slice(0, most);
}

/** A server that the page was lost to may not know an instance that this page has seen. */
function named(stop: StoppedInstance): StoppedInstance {
  const name = stop.name ?? names.peek().get(stop.instance ?? '');
  return name === undefined ? stop : { ...stop, name };
}

/** Whether a message of this type changes what views show. */
function take(type: string, data: unknown): boolean {
  switch (type) {
    case 'fleet': {
      latest.fleet = data as FleetSnapshot;
      minute.add(latest.fleet);
      laneList.add(latest.fleet);
      return true;
    }
    case 'event':
      latest.events = newestFirst(latest.events, data as FleetEvent, EVENTS);
      return false;
    case 'stop':
      latest.stops = newestFirst(latest.stops, named(data as StoppedInstance), STOPS);
      return false;
    case 'stopDropped':
      latest.stops = latest.stops.filter(({ id }) => id !== (data as StopDropped).id);
      return false;
    case 'hour': {
      const bin = data as HourBin;
      const since = bin.at - HOUR_MS;
      latest.hour = [...latest.hour.filter(({ at }) => at !== bin.at && at > since), bin].sort((a, b) => a.at - b.at);
      return false;
    }
    default:
      return false;
  }
}

function publish(): void {
  isBehind = paused.value || document.hidden;
  if (isBehind) return;
  const since = (latest.fleet?.at ?? 0) - HOUR_MS;
  batch(() => {
    if (latest.fleet !== undefined) learnNames(latest.fleet);
    fleet.value = latest.fleet;
    bins.value = minute.bins;
    lanes.value = laneList.with(latest.stops);
    events.value = latest.events;
    hour.value = latest.hour;
    // An hour-old interruption leaves, and an unchanged list stays the same list.
    const shown = latest.stops.filter(({ at, overAt }) => at > since || overAt === undefined);
    if (shown.length !== stops.value.length || shown.some((stop, k) => stop !== stops.value[k])) stops.value = shown;
  });
}

function greet(given: Hello): void {
  const before = hello.value;
  const wasLost = connection.value.state === 'lost';
  batch(() => {
    hello.value = given;
    connection.value = { state: 'live' };
  });
  if (!wasLost || before === undefined) return;
  const isOther = before.instance !== given.instance;
  toast(isOther ? `Connected again, now to ${nameOf(given.instance) ?? given.instance}` : 'Connected again');
}

const stream = new Stream('stream', {
  event(type, data) {
    if (type === 'hello') greet(data as Hello);
    else if (take(type, data)) publish();
  },
  lost(_error, retryAt) {
    if (document.hidden) stream.close();
    connection.value = { state: 'lost', name: nameOf(hello.value?.instance) ?? 'the server', retryAt };
  },
  refused() {
    const { state } = connection.value;
    connection.value = { state: 'token', wrong: state === 'token' };
  },
});

export const connect = (): void => stream.open();

/** With the token that was just given. */
export function connectWithToken(): void {
  connection.value = { state: 'token', wrong: false };
  stream.open();
}

export function startModel(): void {
  effect(() => {
    if (!paused.value && isBehind) publish();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    if (connection.value.state === 'lost') connect();
    else if (isBehind) publish();
  });
  connect();
}
