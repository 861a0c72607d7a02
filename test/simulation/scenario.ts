/** What happens in a run, chosen by its seed: the kind of weather, the deployment, its clients. */
import type { McpEndpointOptions } from '../../src/base/options/mcp-endpoint-options.ts';
import type { Faults } from './faults.ts';
import { Random } from './random.ts';
import { ATTEMPT_HEADER } from './requester.ts';
import { CLEAR, type Weather } from './weather.ts';

/** What a kind of weather makes of a scenario. */
interface Draft {
  readonly weather: Weather;
  readonly faults: { -readonly [K in keyof Faults]?: Faults[K] };
  readonly endpoint: { hibernateAfterMs?: number; idleTimeoutMs?: number };
  activeMs: number;
  thinkMs: readonly [number, number];
}

type Shape = (draft: Draft, random: Random) => void;

const crashes: Shape = ({ weather }, random) => {
  weather.crash = 0.6;
  weather.loss = random.chance(0.3) ? 0.2 : 0;
};
const lossy: Shape = ({ faults }, random) => {
  faults.mailLost = random.pick([0.02, 0.1, 0.3]);
  faults.mailDoubled = random.pick([0, 0.1]);
  faults.mailDelayed = random.pick([0, 0.1]);
  faults.httpCut = random.pick([0, 0.05]);
};
const flaky: Shape = ({ faults }, random) => {
  faults.storeFails = random.pick([0.01, 0.05]);
  faults.storeReplyLost = random.pick([0.01, 0.05]);
  faults.storeStalls = random.pick([0, 0.03]);
  faults.storeTwice = random.pick([0, 0.05]);
};
const sometimes =
  (name: keyof Weather, rate: number): Shape =>
  ({ weather }, random) =>
    void (weather[name] = random.pick([0, rate]));
const always =
  (rates: Partial<Weather>): Shape =>
  ({ weather }) =>
    void Object.assign(weather, rates);

/** The kinds of weather, how often one is chosen, and what it is made of. */
const SHAPES = {
  quiet: [1],
  crashes: [4, crashes],
  freezes: [3, always({ freeze: 0.8 })],
  suspensions: [2, always({ suspend: 0.8 })],
  clocks: [2, always({ clockJump: 1, setBack: 0.3, freeze: 0.4 })],
  partitions: [
    3,
    always({ cutOff: 0.5 }),
    ({ weather }, random) => void (weather.apart = random.chance(0.5) ? 0.5 : 0),
  ],
  lossy: [3, lossy, sometimes('crash', 0.3)],
  outages: [2, always({ outage: 0.4 })],
  longOutages: [1, always({ longOutage: 0.5 }), (draft) => void (draft.thinkMs = [0, 200])],
  flaky: [3, flaky, sometimes('crash', 0.3)],
  rollbacks: [
    2,
    always({ rollback: 0.3 }),
    sometimes('forgottenDeath', 0.3),
    sometimes('crash', 0.3),
  ],
  drains: [3, always({ drain: 0.6 }), sometimes('crash', 0.2)],
  hibernation: [
    2,
    (draft, random) => {
      draft.endpoint.hibernateAfterMs = random.between(0, 500);
      draft.activeMs = 12_000;
      draft.thinkMs = [0, 4_000];
    },
    sometimes('crash', 0.1),
  ],
  idle: [
    1,
    (draft, random) => {
      draft.endpoint.idleTimeoutMs = random.between(1_000, 4_000);
      if (random.chance(0.4)) draft.endpoint.hibernateAfterMs = 200;
      draft.activeMs = 25_000;
      draft.thinkMs = [0, 12_000];
    },
    sometimes('crash', 0.05),
  ],
  mailboxes: [2, always({ mailboxLoss: 1.5 }), sometimes('freeze', 0.3)],
  storm: [
    4,
    crashes,
    (draft, random) => void (random.chance(0.5) && lossy(draft, random)),
    (draft, random) => void (random.chance(0.4) && flaky(draft, random)),
    sometimes('freeze', 0.4),
    sometimes('cutOff', 0.3),
    sometimes('outage', 0.15),
    sometimes('drain', 0.3),
    sometimes('mailboxLoss', 0.4),
    (draft, random) => {
      if (!random.chance(0.2)) return;
      draft.endpoint.hibernateAfterMs = 200;
      draft.activeMs = 7_000;
    },
  ],
  stalls: [
    2,
    always({ stall: 0.7 }),
    sometimes('crash', 0.3),
    sometimes('freeze', 0.3),
    (draft) => void (draft.thinkMs = [0, 100]),
  ],
} satisfies Record<string, readonly [weight: number, ...Shape[]]>;

export type Kind = keyof typeof SHAPES;

export const KINDS = Object.keys(SHAPES) as Kind[];

const WEIGHTS = Object.fromEntries(KINDS.map((kind) => [kind, SHAPES[kind][0]])) as Record<
  Kind,
  number
>;

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

/** Options of few deployments: how many have them, and what their clients do differently. */
const RARE: ReadonlyArray<
  readonly [share: number, endpoint: McpEndpointOptions, actions?: Partial<Actions>]
> = [
  [0.06, { eventRetention: false }],
  // A call that asks a client which was cut off keeps its place.
  [0.06, { limits: { requestsPerSession: 2 } }, { ask: 0 }],
  [0.06, { maxWaitMs: 500 }],
  // Its questions are lost with the GET stream.
  [0.06, { responseMode: 'json' }, { ask: 0, cancel: 0, leave: 0 }],
];

type Actions = Readonly<Record<keyof typeof ACTIONS, number>>;

export interface Scenario {
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

/** Behind a proxy that sends calls once more. */
export const proxied = (scenario: Scenario): Scenario => ({
  ...scenario,
  endpoint: { ...scenario.endpoint, attemptHeader: ATTEMPT_HEADER },
});

export function scenarioOf(seed: number, wanted?: Kind): Scenario {
  const random = new Random(seed ^ 0x5eed);
  const kind = wanted ?? random.weighted(WEIGHTS);
  const activeMs = random.between(2_500, 5_000);
  const draft: Draft = {
    weather: { ...CLEAR },
    faults: {},
    endpoint: {},
    activeMs,
    thinkMs: [0, 250],
  };
  if (random.chance(0.3)) draft.faults.storeReply = [0.1, 0.6];
  if (random.chance(0.3)) draft.faults.http = [0.5, 25];
  const [, ...shapes]: readonly [number, ...Shape[]] = SHAPES[kind];
  for (const shape of shapes) shape(draft, random);
  const scenario = {
    kind,
    slots: kind === 'quiet' || kind === 'outages' ? 1 + random.int(3) : 2 + random.int(3),
    clients: 1 + random.int(2),
    version: random.chance(0.7) ? '2025-11-25' : '2025-06-18',
    actions: ACTIONS,
    concurrency: 5,
    ...draft,
  };
  let drawn = random.next();
  for (const [share, endpoint, actions] of RARE)
    if ((drawn -= share) < 0)
      return {
        ...scenario,
        endpoint: { ...draft.endpoint, ...endpoint },
        actions: { ...ACTIONS, ...actions },
      };
  return scenario;
}
