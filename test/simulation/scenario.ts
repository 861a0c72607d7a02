/** What happens in a run, chosen by its seed: the kind of weather, the deployment, its clients. */
import type { McpEndpointOptions } from '../../src/options/endpoint-options.ts';
import type { Faults } from './faults.ts';
import { Random } from './random.ts';
import { CLEAR, type Weather } from './weather.ts';

/** The kinds of weather, and how often one is chosen. */
const WEIGHTS = {
  quiet: 1,
  crashes: 4,
  freezes: 3,
  suspensions: 2,
  clocks: 2,
  partitions: 3,
  lossy: 3,
  outages: 2,
  flaky: 3,
  rollbacks: 2,
  drains: 3,
  hibernation: 2,
  idle: 1,
  mailboxes: 2,
  storm: 4,
  stalls: 2,
};

export type Kind = keyof typeof WEIGHTS;

export const KINDS = Object.keys(WEIGHTS) as Kind[];

/** How often clients do what. */
export const ACTIONS = {
  effect: 4,
  slowEffect: 3,
  count: 5,
  peek: 4,
  read: 2,
  slowRead: 1,
  ask: 3,
  slow: 2,
  slowOnce: 1,
  push: 2,
  list: 1,
  cancel: 1,
  leave: 2,
  leaveGet: 1,
  trespass: 0.4,
  delete: 0.25,
  /** Of 2026-07-28. */
  confirm: 0,
} as const;

type Actions = Readonly<Record<keyof typeof ACTIONS, number>>;

export interface Scenario {
  readonly seed: number;
  readonly kind: Kind;
  readonly slots: number;
  readonly clients: number;
  readonly version: string;
  /** Clients act for so long; then everything is healed. */
  readonly activeMs: number;
  /** Between two actions of a client. */
  readonly thinkMs: readonly [number, number];
  readonly actions: Actions;
  /** Calls that a client has under way at most. */
  readonly concurrency: number;
  readonly endpoint: McpEndpointOptions;
  readonly faults: Partial<Faults>;
  readonly weather: Weather;
}

export function scenarioOf(seed: number, wanted?: Kind): Scenario {
  const random = new Random(seed ^ 0x5eed);
  const kind = wanted ?? random.weighted(WEIGHTS);
  const weather = { ...CLEAR };
  const faults: { -readonly [K in keyof Faults]?: Faults[K] } = {};
  const endpoint: { hibernateAfterMs?: number; idleTimeoutMs?: number; maxIdleSessionCount?: number } = {};
  let activeMs = random.between(2_500, 5_000);
  let thinkMs: readonly [number, number] = [0, 250];
  if (random.chance(0.3)) faults.storeReply = [0.1, 0.6];
  if (random.chance(0.3)) faults.http = [0.5, 25];
  const crashes = (): void => {
    weather.crash = 0.6;
    weather.loss = random.chance(0.3) ? 0.2 : 0;
  };
  const lossy = (): void => {
    faults.mailLost = random.pick([0.02, 0.1, 0.3]);
    faults.mailDoubled = random.pick([0, 0.1]);
    faults.mailDelayed = random.pick([0, 0.1]);
    faults.httpCut = random.pick([0, 0.05]);
  };
  const flaky = (): void => {
    faults.storeFails = random.pick([0.01, 0.05]);
    faults.storeReplyLost = random.pick([0.01, 0.05]);
    faults.storeStalls = random.pick([0, 0.03]);
    faults.storeTwice = random.pick([0, 0.05]);
  };
  switch (kind) {
    case 'quiet':
      break;
    case 'crashes':
      crashes();
      break;
    case 'freezes':
      weather.freeze = 0.8;
      break;
    case 'suspensions':
      weather.suspend = 0.8;
      break;
    case 'clocks':
      weather.clockJump = 1;
      weather.setBack = 0.3;
      weather.freeze = 0.4;
      break;
    case 'partitions':
      weather.cutOff = 0.5;
      weather.apart = random.chance(0.5) ? 0.5 : 0;
      break;
    case 'lossy':
      lossy();
      weather.crash = random.pick([0, 0.3]);
      break;
    case 'outages':
      weather.outage = 0.4;
      break;
    case 'flaky':
      flaky();
      weather.crash = random.pick([0, 0.3]);
      break;
    case 'rollbacks':
      weather.rollback = 0.3;
      weather.forgottenDeath = random.pick([0, 0.3]);
      weather.crash = random.pick([0, 0.3]);
      break;
    case 'drains':
      weather.drain = 0.6;
      weather.crash = random.pick([0, 0.2]);
      break;
    case 'hibernation':
      endpoint.hibernateAfterMs = random.between(0, 500);
      activeMs = 12_000;
      thinkMs = [0, 4_000];
      weather.crash = random.pick([0, 0.1]);
      break;
    case 'idle':
      endpoint.idleTimeoutMs = random.between(1_000, 4_000);
      if (random.chance(0.4)) endpoint.hibernateAfterMs = 200;
      activeMs = 25_000;
      thinkMs = [0, 12_000];
      weather.crash = random.pick([0, 0.05]);
      break;
    case 'mailboxes':
      weather.mailboxLoss = 1.5;
      weather.freeze = random.pick([0, 0.3]);
      break;
    case 'storm':
      crashes();
      if (random.chance(0.5)) lossy();
      if (random.chance(0.4)) flaky();
      weather.freeze = random.pick([0, 0.4]);
      weather.cutOff = random.pick([0, 0.3]);
      weather.outage = random.pick([0, 0.15]);
      weather.drain = random.pick([0, 0.3]);
      weather.mailboxLoss = random.pick([0, 0.4]);
      if (random.chance(0.2)) {
        endpoint.hibernateAfterMs = 200;
        activeMs = 7_000;
      }
      break;
    case 'stalls':
      weather.stall = 0.7;
      weather.crash = random.pick([0, 0.3]);
      weather.freeze = random.pick([0, 0.3]);
      thinkMs = [0, 100];
      break;
  }
  const scenario = {
    seed,
    kind,
    slots: kind === 'quiet' || kind === 'outages' ? 1 + random.int(3) : 2 + random.int(3),
    clients: 1 + random.int(2),
    version: random.chance(0.7) ? '2025-11-25' : '2025-06-18',
    activeMs,
    thinkMs,
    actions: ACTIONS,
    concurrency: 5,
    endpoint,
    faults,
    weather,
  };
  // Drawn last.
  return random.chance(0.06) ? { ...scenario, endpoint: { ...endpoint, eventRetention: false } } : scenario;
}
