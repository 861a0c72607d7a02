/**
 * What an instance counts once a dashboard is mounted (`shared-figures.ts` stores it). It listens to the notices that
 * the metrics count too, and asks no other instance. All that it holds is bounded, whatever clients send.
 */
import type { ShownEndpoint } from './shown-endpoint.ts';
import { KnownNames } from '../../base/observe/known-names.ts';
import type { EmittedNotice, RequestNotice } from '../../base/observe/notices.ts';
import type { StepNotice } from '../../base/observe/step-notices.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import type { TimeProvider } from '../../base/types.ts';
import { CallFigures } from './call-figures.ts';
import { Recent, round } from './recent.ts';
import { Refusals } from './refusals.ts';
import { callsTool, roleOf } from '../../base/protocol/methods.ts';

const MINUTE_MS = 60_000;
const BIN_MS = 2_000;
const BINS = MINUTE_MS / BIN_MS;
/** Errors are shown of so many bins: 10 s. */
const ERROR_BINS = 5;
/** Rows of tools and of reasons, and callers of a reason: in the store, and on the page of the instance itself. */
const ROWS = 20;
/** Calls that run: in the store, and on the page of the instance itself. */
const RUNS = { stored: 8, page: 100 };
/** Instances whose lost calls are shown, and sessions of which it is not known yet who ran them. */
const DEATHS = 4;
const FOUND = 100;
const CALLERS = { stored: 2, page: 16 };
/** Bytes of what is stored. */
const MOST_BYTES = 2_048;
/** A request that was open in an outage for less did not wait for the store. */
const WAITED_MS = 250;
/** After an outage leases and sessions are claimed again. */
const CLAIMED_MS = 2_000;

/**
 * `rerun`: they ran again. `lost`: their clients got an error which says that they may have run.
 */
interface LostCallCounts {
  readonly rerun: number;
  readonly lost: number;
}

interface LostCallsBy {
  get(key: string): LostCallCounts | undefined;
  set(key: string, found: LostCallCounts): unknown;
}

function addLost(to: LostCallsBy, key: string, more: LostCallCounts): void {
  const { rerun, lost } = to.get(key) ?? { rerun: 0, lost: 0 };
  to.set(key, { rerun: rerun + more.rerun, lost: lost + more.lost });
}

export type Figures = ReturnType<InstanceFigures['read']>;

export class InstanceFigures {
  readonly #endpoint: ShownEndpoint;
  readonly #time: Required<TimeProvider>;
  readonly #bins: { readonly at: number; calls: number; errors: number }[] = [];
  readonly #lately: Recent;
  readonly #tools: Recent;
  /** Tools that answered: of a call that another instance runs no list may have passed here. */
  readonly #answered = new KnownNames();
  readonly #refusals: Refusals;
  readonly #callFigures: CallFigures;
  /** When it began to count, by the wall clock. */
  readonly #since: number;
  /** The last outage of the store, by the wall clock. */
  #away: { readonly since: number; readonly ms?: number } | undefined;
  /** Who waited in it. `since`: of the first of them. */
  #waited: { calls: number; longestMs: number; refused: number; since: number } | undefined;
  /** Calls that were found without an answer, by the session: the notice of its restore names who ran them. */
  readonly #found = new BoundedMap<string, LostCallCounts>(FOUND);
  readonly #deaths = new Map<string, LostCallCounts>();
  #storeMs = 0;

  constructor(endpoint: ShownEndpoint) {
    const { notices, timeProvider } = endpoint.options;
    const now = (): number => timeProvider.monotonic();
    this.#endpoint = endpoint;
    this.#time = timeProvider;
    this.#lately = new Recent(MINUTE_MS, now);
    this.#tools = new Recent(30 * MINUTE_MS, now);
    this.#refusals = new Refusals(now);
    this.#callFigures = new CallFigures(notices, timeProvider);
    this.#since = timeProvider.now();
    // A dashboard may be mounted while the store is away.
    if (endpoint.health().store === 'unavailable') this.#away = { since: timeProvider.now() };
    notices.listen((notice) => this.#note(notice), { requests: true, calls: true });
  }

  /** Since when the store is away, by the wall clock. */
  get awaySince(): number | undefined {
    return this.#away?.ms === undefined ? this.#away?.since : undefined;
  }

  /** How long the last write of these figures took. */
  storeTook(ms: number): void {
    this.#storeMs = ms;
  }

  /** What the instance says of itself. */
  read(callers = CALLERS.page, runs = RUNS.page) {
    const { registry, legacy, shutdown } = this.#endpoint;
    let inSessions = 0;
    for (const session of registry.values()) inSessions += session.calls.running.size;
    // While the store is away no call of a session ends, although its handler may run.
    const held = this.awaySince === undefined ? 0 : inSessions;
    const { calls, waits, rerun, lost } = Object.fromEntries(
      this.#lately.list().map((count) => [count.name, count]),
    );
    return {
      since: this.#since,
      sessions: registry.count,
      /** Requests in work, and requests that wait for an owner, the store, the lease or a place. */
      running: Math.max(0, shutdown.sessionless + inSessions - held - this.#callFigures.elsewhere),
      waiting: legacy.waiting.size + held,
      ...this.#lastMinute(),
      /** This figure and the next three are of the last one to two minutes. */
      p50: calls?.p50,
      p99: calls?.p99,
      storeMs: round(this.#storeMs),
      /** Requests that waited and have ended since. */
      waited: waits && { calls: waits.calls, longestMs: waits.slowest, refused: waits.errors },
      /** Calls whose owner died: they ran again, or their client got `owner_lost`. */
      rerun: rerun?.calls,
      lost: lost?.calls,
      /** The last time without the store, if it is over. */
      away: this.#outage(),
      /** Calls that instances died with, as far as this one has found them. */
      deaths: [...this.#deaths].map(([instance, found]) => ({ instance, ...found })),
      /** The calls that run, oldest first. */
      runs: this.#callFigures.runs(runs),
      /** Those with the most calls, in the last 30 to 60 minutes. */
      tools: this.#tools.list().slice(0, ROWS),
      refusals: this.#refusals.list(callers).slice(0, ROWS),
      failures: this.#callFigures.failures().slice(0, ROWS),
    };
  }

  /** JSON of at most `MOST_BYTES`: the last rows are left out until it fits. */
  text(): string {
    const figures = this.read(CALLERS.stored, RUNS.stored);
    const { runs, tools, refusals, failures } = figures;
    for (;;) {
      const text = JSON.stringify(figures);
      const longest = [refusals, tools, failures, runs].reduce((one, other) =>
        other.length > one.length ? other : one,
      );
      if (Buffer.byteLength(text) <= MOST_BYTES || longest.length === 0) return text;
      longest.pop();
    }
  }

  /** The last time without the store, if it is over, and who waited in it. It began before its first failure was seen. */
  #outage() {
    const { since = 0, ms: lasted } = this.#away ?? {};
    if (lasted === undefined) return undefined;
    if (this.#waited === undefined) return { since, ms: lasted };
    const { since: first, ...waited } = this.#waited;
    const began = Math.min(since, first);
    return { since: began, ms: lasted + since - began, waited };
  }

  #note(notice: EmittedNotice): void {
    this.#callFigures.note(notice);
    switch (notice.kind) {
      case 'request':
        return this.#request(notice);
      case 'requestRefused':
        return this.#refusals.note(notice, notice.exchange, this.#time.now());
      case 'requestWaited':
        // In an outage the end of the request says it, for calls whose handlers ran as well.
        if (!this.#isAway) this.#lately.add('waits', notice.ms, notice.outcome === 'refused');
        return undefined;
      case 'callLost':
        return this.#lost(notice);
      case 'sessionRestored':
        return this.#restored(notice);
      case 'storeUnavailable':
        this.#waited = undefined;
        this.#away = { since: this.#time.now() };
        return undefined;
      case 'storeBack':
        this.#away = { since: Math.round(this.#time.now() - notice.ms), ms: round(notice.ms) };
        return undefined;
      default:
    }
  }

  #lost({ runsAgain, sessionId }: StepNotice<'callLost'>): void {
    this.#lately.add(runsAgain ? 'rerun' : 'lost');
    if (sessionId === undefined) return;
    addLost(this.#found, sessionId, { rerun: runsAgain ? 1 : 0, lost: runsAgain ? 0 : 1 });
  }

  #restored({ sessionId, from }: Extract<EmittedNotice, { kind: 'sessionRestored' }>): void {
    const found = this.#found.get(sessionId);
    this.#found.delete(sessionId);
    if (found === undefined || from === undefined) return;
    addLost(this.#deaths, from, found);
    const [oldest] = this.#deaths.keys();
    if (this.#deaths.size > DEATHS && oldest !== undefined) this.#deaths.delete(oldest);
  }

  get #isAway(): boolean {
    const { since = 0, ms = Infinity } = this.#away ?? { ms: 0 };
    return this.#time.now() < since + ms + CLAIMED_MS;
  }

  /** Runs for every request that is watched: it reads no clock. */
  #request(notice: RequestNotice): void {
    const { http, method, target, ms, refused, failure, status, left, endedAt: now } = notice;
    if (http !== 'POST') return;
    if (ms >= WAITED_MS && this.#isAway) this.#waitForStore(notice);
    if (refused !== undefined) return this.#count(true, now);
    // A stream is no answer that a client waits for, and a notification has none.
    if (method === undefined || roleOf(method) === 'listen' || method.startsWith('notifications/'))
      return;
    const failed = failure !== undefined || (status >= 400 && !left);
    this.#count(failed, now);
    this.#lately.add('calls', ms, failed, now);
    if (!callsTool(method) || target === undefined) return;
    // No client can call a tool that the server does not have, and get no error.
    if (!failed && !left) this.#answered.add(target);
    const tool = this.#answered.has(target)
      ? target
      : this.#endpoint.options.notices.tools.of(target);
    this.#tools.add(tool, ms, failed, now);
  }

  #waitForStore({ ms, sessionId, refused, failure, endedAt: now }: RequestNotice): void {
    const { since = 0, ms: lasted = Infinity } = this.#away ?? {};
    const began = this.#time.now() - ms;
    if (sessionId === undefined || began > since + lasted) return;
    // The first renewal that fails tells the outage.
    const waited = this.#time.now() - Math.max(began, since - this.#endpoint.options.leaseMs / 3);
    if (waited < WAITED_MS) return;
    const failed = (refused ?? failure) !== undefined;
    this.#lately.add('waits', waited, failed, now);
    const before = this.#waited ?? { calls: 0, longestMs: 0, refused: 0, since };
    this.#waited = {
      calls: before.calls + 1,
      longestMs: round(Math.max(before.longestMs, waited)),
      refused: before.refused + (failed ? 1 : 0),
      since: Math.round(Math.min(before.since, this.#time.now() - waited)),
    };
  }

  #count(failed: boolean, now: number): void {
    const at = Math.floor(now / BIN_MS);
    let bin = this.#bins.at(-1);
    if (bin?.at !== at) this.#bins.push((bin = { at, calls: 0, errors: 0 }));
    if (this.#bins.length > BINS) this.#bins.shift();
    bin.calls += 1;
    if (failed) bin.errors += 1;
  }

  /** Requests that ended in each 2 s, oldest first, and those of the last 10 s that failed or were refused. */
  #lastMinute(): { readonly calls: readonly number[]; readonly errors: number } {
    const last = Math.floor(this.#time.monotonic() / BIN_MS);
    const ages = Array.from({ length: BINS }, (_, k) =>
      this.#bins.find(({ at }) => at === last - BINS + 1 + k),
    );
    const errors = ages.slice(-ERROR_BINS).reduce((all, bin) => all + (bin?.errors ?? 0), 0);
    return { calls: ages.map((bin) => bin?.calls ?? 0), errors };
  }
}
