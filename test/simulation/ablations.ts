/**
 * The safety rules of the protocol, one taken away at a time: of the store and the network by what a world is made
 * with, of an instance by its view of the store and its clocks, of its code by a patch that is taken back. In the
 * weather that it is for, the checker must miss it within so many seeds.
 */
import { Link } from '../../src/cluster/instance-link.ts';
import type { LinkItem } from '../../src/cluster/messages.ts';
import { WaitingRequests } from '../../src/eras/sessions/waiting.ts';
import { Markers } from '../../src/session/calls/markers.ts';
import { keyOf, SessionCalls } from '../../src/session/calls/session-calls.ts';
import { Questions } from '../../src/session/calls/questions.ts';
import { SimExchange } from './exchange.ts';
import { type Ablation, ownersAreDead, patched, returningAreDead, together } from './ablation.ts';
import type { RunOptions } from './run.ts';
import { ACTIONS, type Scenario } from './scenario.ts';
import { CLEAR, type Weather } from './weather.ts';
import type { Faults } from './faults.ts';
import type { StoreChanges } from './sim-store.ts';
import {
  fencesByEpoch,
  forgetsEnds,
  forgetsMarkers,
  revives,
  suspicionIsDeath,
} from './store-rules.ts';
import type { SimProcess } from './process.ts';
import { authOf } from './requester.ts';
import { World } from './world.ts';

const stopped =
  (clock: 'monotonic' | 'wall') =>
  (process: SimProcess): void => {
    process.clock.stopped = clock;
  };

/** No part of the store tells the instance that its mailbox is gone. */
const deaf: StoreChanges = {
  instances: (of) => ({ announce: (lease, receive) => of.announce(lease, receive) }),
};

/**
 * Clients that look often whether what was acknowledged is still there, by calls that are answered from memory alone:
 * with an event log they are answered after an append, which a store refuses.
 */
const watchful = (scenario: Scenario): Scenario => ({
  ...scenario,
  endpoint: { ...scenario.endpoint, eventRetention: false },
  thinkMs: [0, 25],
  actions: { ...ACTIONS, count: 8, peek: 20, list: 3, delete: 0 },
});

const worse =
  (
    weather: Partial<Weather>,
    { slots = 3, ...faults }: Partial<Faults> & { slots?: number } = {},
  ) =>
  (scenario: Scenario): Scenario => ({
    ...watchful(scenario),
    activeMs: 2_500,
    concurrency: 12,
    slots,
    weather: { ...CLEAR, ...weather },
    faults: { ...scenario.faults, ...faults },
  });

/** Long enough to be overtaken, short enough to be no failure. */
const STALLS: Partial<Faults> = { storeStalls: 0.2, storeStall: [1, 40], storeTimeout: [300, 400] };

/** A request with an unknown session id gets a session. */
const vouching = (scenario: Scenario): Scenario => ({
  ...scenario,
  endpoint: {
    ...scenario.endpoint,
    sessionMigrationHandler: {
      allowSessionMigration: () => ({
        protocolVersion: scenario.version,
        capabilities: { elicitation: {} },
        clientInfo: { name: 'migrated', version: '1' },
      }),
    },
  },
});

/** One instance whose store is often away. */
const outOfReach = (scenario: Scenario): Scenario => ({
  ...scenario,
  slots: 1,
  version: '2025-11-25',
  thinkMs: [0, 100],
  actions: { ...ACTIONS, effect: 20, ask: 0, slow: 0, slowOnce: 0, delete: 0 },
  weather: { ...CLEAR, outage: 0.8 },
});

/** Calls that may run twice, and replies of the store that are often lost when an instance crashes. */
const repeatableCalls = (scenario: Scenario): Scenario => ({
  ...scenario,
  version: '2025-11-25',
  endpoint: {},
  thinkMs: [0, 60],
  concurrency: 12,
  actions: {
    ...ACTIONS,
    effect: 0,
    slowEffect: 0,
    ask: 0,
    slow: 20,
    slowRead: 20,
    leave: 0,
    cancel: 0,
    delete: 0,
  },
  faults: { ...scenario.faults, storeReply: [0, 0], storeReplyLost: 0.2 },
  weather: { ...scenario.weather, crash: 1 },
});

/** Copies of sessions forget the calls that run again. */
const forgetsReruns = patched(
  SessionCalls.prototype,
  'rerun',
  (rerun) =>
    function (this: SessionCalls, message, caller, stream, run) {
      rerun.call(this, message, caller, stream, run);
      this.running.forget(run.key, stream.key);
    },
);

/** Copies of sessions forget the calls that another instance relayed. */
const forgetsRelayed = patched(
  SessionCalls.prototype,
  'beginAhead',
  (begin) =>
    function (this: SessionCalls, post, ...given) {
      begin.call(this, post, ...given);
      for (const call of post.calls) this.running.forget(keyOf(call), post.stream.key);
    },
);

/** The number of a run is not stored, nor does it mark its call. */
const countsNoRuns = patched(Markers.prototype, 'countRun', () => () => Promise.resolve('written'));

export const ABLATIONS: readonly Ablation<RunOptions>[] = [
  {
    rule: 'the session of a living owner is not restored',
    shows: /is live on \S+ and on/,
    within: {},
    without: {},
    patch: ownersAreDead,
  },
  {
    rule: 'an owner that returns from an outage is not dead',
    seeds: 10,
    shows: /^failed: .*owner_lost/,
    within: { kind: 'longOutages' },
    without: {},
    patch: returningAreDead,
  },
  {
    rule: 'requests wait for a store that is away',
    seeds: 10,
    shows: /was refused with/,
    within: { kind: 'outages', change: outOfReach },
    without: { endpoint: { maxWaitMs: 0 } },
  },
  {
    rule: 'requests wait no longer than maxWaitMs',
    seeds: 40,
    from: 16,
    shows: /^waited \d+ ms/,
    within: {
      kind: 'outages',
      change: (scenario) => ({
        ...outOfReach(scenario),
        endpoint: { ...scenario.endpoint, maxWaitMs: 200 },
      }),
    },
    without: {},
    patch: patched(
      WaitingRequests.prototype,
      'add',
      (add) =>
        function (this: WaitingRequests, id, inbound, cause) {
          return add.call(this, id, { ...inbound, waitUntil: Infinity }, cause);
        },
    ),
  },
  {
    rule: 'a request waits behind the earlier ones of its session',
    seeds: 40,
    from: 31,
    shows: /^order lost/,
    within: {
      kind: 'outages',
      change: (scenario) => ({
        ...outOfReach(scenario),
        thinkMs: [0, 10],
        concurrency: 20,
        faults: { ...scenario.faults, store: [1, 20] },
      }),
    },
    without: {},
    patch: patched(WaitingRequests.prototype, 'has', () => () => false),
  },
  {
    rule: 'a request leaves with its client',
    seeds: 20,
    from: 11,
    shows: /^ran after its client had left/,
    within: { kind: 'outages', change: outOfReach },
    without: {},
    patch: patched(SimExchange.prototype, 'clientLeft', () => () => undefined),
  },
  {
    rule: 'a marker before what may not run twice',
    seeds: 10,
    shows: /^ran \d+ times/,
    within: { kind: 'crashes' },
    without: { changes: forgetsMarkers },
  },
  {
    rule: 'suspicion is not death: who is not heard is buried first, with the lease that was seen',
    seeds: 20,
    shows: /^went back/,
    within: { kind: 'mailboxes', change: worse({ mailboxLoss: 4 }) },
    without: { changes: suspicionIsDeath },
  },
  {
    rule: 'death is final',
    seeds: 20,
    from: 20,
    shows: /^went back|^never ended/,
    within: { kind: 'mailboxes', change: worse({ mailboxLoss: 4 }, STALLS) },
    without: { changes: revives },
  },
  {
    rule: 'self-fencing by the monotonic clock',
    seeds: 40,
    shows: /^went back/,
    within: { kind: 'clocks', change: worse({ setBack: 1.2 }, { slots: 2 }) },
    without: { onProcess: stopped('monotonic') },
  },
  {
    rule: 'self-fencing by the wall clock',
    seeds: 40,
    shows: /^went back/,
    within: { kind: 'suspensions', change: worse({ suspend: 1.2 }, { slots: 2 }) },
    without: { onProcess: stopped('wall') },
  },
  {
    rule: 'self-fencing by the mailbox',
    seeds: 20,
    from: 7,
    shows: /^went back/,
    within: { kind: 'mailboxes', change: worse({ mailboxLoss: 4 }) },
    without: { changes: deaf },
  },
  {
    rule: 'a write names the owner, not the epoch alone',
    seeds: 110,
    from: 1,
    shows: /^counted \d+ twice|^went back|^never ended/,
    within: {
      kind: 'rollbacks',
      change: (scenario) => ({
        ...worse({ forgottenDeath: 1.6 })(scenario),
        activeMs: 4_000,
        actions: { ...ACTIONS, count: 30, peek: 0, delete: 0 },
      }),
    },
    without: { changes: fencesByEpoch },
  },
  {
    rule: 'an ended session is a value of its record',
    seeds: 20,
    shows: /was deleted and answered 20|answered 202 afterwards/,
    within: { kind: 'quiet', change: vouching },
    without: { changes: forgetsEnds },
  },
  {
    rule: 'a session is of its user',
    seeds: 20,
    shows: /another user's session \S+ answered/,
    within: { kind: 'quiet' },
    without: {},
    patch: patched(
      World.prototype,
      'http',
      (http) =>
        function (this: World, slot, request, onEvent) {
          return http.call(this, slot, { ...request, authInfo: authOf('one') }, onEvent);
        },
    ),
  },
  {
    rule: 'what needs no answer is of the user of its session, too',
    seeds: 20,
    shows: /was delivered to \S+, and another user sent it/,
    within: { kind: 'quiet' },
    without: {},
    patch: patched(
      World.prototype,
      'http',
      (http) =>
        function (this: World, slot, request, onEvent) {
          const session = this.ledger.sessions.get(request.headers['mcp-session-id'] ?? '');
          const isSilent = request.body?.includes('"id":') === false;
          const asOwner = isSilent && session !== undefined;
          const given = asOwner ? { ...request, authInfo: authOf(session.client) } : request;
          return http.call(this, slot, given, onEvent);
        },
    ),
  },
  {
    rule: 'pings behind what is not acknowledged',
    seeds: 10,
    shows: /^never ended/,
    within: { kind: 'lossy' },
    without: {
      lets: ({ items = [] }) => (items as readonly LinkItem[]).every(({ t }) => t !== 'ping'),
    },
  },
  {
    rule: 'a repeated item is dropped',
    seeds: 10,
    shows: /^ran \d+ times/,
    within: { kind: 'lossy' },
    without: {},
    patch: patched(Link.prototype, 'repeats', () => () => false),
  },
  {
    rule: 'a copy remembers the calls of a lost owner that it ran again',
    seeds: 40,
    from: 60,
    shows: /ran twice on one copy/,
    within: { kind: 'crashes', change: repeatableCalls },
    without: {},
    patch: together(forgetsReruns, countsNoRuns),
  },
  {
    rule: 'a copy remembers the calls whose relaying instance may send them again',
    seeds: 40,
    shows: /ran twice on one copy/,
    within: { kind: 'stalls' },
    without: {},
    patch: forgetsRelayed,
  },
  {
    rule: 'the number of a run is stored before it begins',
    seeds: 40,
    shows: /^began \d+ times/,
    within: {
      kind: 'crashes',
      change: (scenario) => {
        const { weather, ...rest } = repeatableCalls(scenario);
        return { ...rest, slots: 3, activeMs: 6_000, weather: { ...weather, crash: 3 } };
      },
    },
    without: {},
    patch: countsNoRuns,
  },
  {
    rule: 'question ids carry the epoch',
    seeds: 60,
    shows: /^got another's answer/,
    within: {
      kind: 'crashes',
      change: (scenario) => ({
        ...worse({ crash: 1.5 })(scenario),
        version: '2025-11-25',
        actions: { ...ACTIONS, ask: 25, delete: 0 },
      }),
    },
    without: {},
    patch: together(
      patched(
        Questions.prototype,
        'ask',
        () => (question, call) => call?.stream?.send(JSON.stringify(question)) as undefined,
      ),
      patched(Questions.prototype, 'answer', () => (message) => ({ message })),
    ),
  },
];
