/**
 * Interruptions, as this instance saw them: another instance died, the store was away, this instance drained or lost
 * its lease. An instance that has the clients of the calls knows what became of them, so each tells its part, and the
 * instance that answers the page joins the parts (`joined-stops.ts`).
 *
 *     a sign of an instance's death: its lease was removed, a relayed call was lost, a session was taken over
 *       ╰──▶ a stop, and the sessions that it touched ──the end of their calls──▶ a call of the stop, with its outcome
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { EmittedNotice, RequestNotice } from '../../observe/notices.ts';
import type { CallLostNotice, RelayedNotice, WaitedNotice } from '../../observe/step-notices.ts';
import type { TimeProvider } from '../../types.ts';
import type { StoppedInstance, StopCall } from '../wire.ts';
import { waitedFor } from './session-ring.ts';

const STOPS = 16;
const HOUR_MS = 3_600_000;
/** Calls that are kept of one stop. The page shows fewer. */
const CALLS = 64;
/** Sessions whose calls are followed. */
const TOUCHED = 4_096;
/** Signs within this time are of one death. */
const SAME_MS = 60_000;
/** A call that ends later than this was no call of the stop. */
const CALL_MS = 120_000;

/** What one instance knows of a stop. */
export interface StopPart {
  /** The instance that saw it, by its id of then: it may have another lease by now. */
  readonly by: string;
  readonly kind: StoppedInstance['kind'];
  readonly at: number;
  readonly instance?: string;
  end?: StoppedInstance['end'];
  overAt?: number;
  sessions?: number;
  moved: number;
  waited: number;
  longestMs: number;
  lost: number;
  failed: number;
  resumed: number;
  readonly calls: StopCall[];
  /** Rises with each change. */
  change: number;
}

export function newStop(by: string, kind: StoppedInstance['kind'], instance: string | undefined, at: number): StopPart {
  const counted = { moved: 0, waited: 0, longestMs: 0, lost: 0, failed: 0, resumed: 0 };
  return { by, kind, at, ...(instance !== undefined && { instance }), ...counted, calls: [], change: 0 };
}

interface Touched {
  readonly stop: StopPart;
  /** When its call was cut, or began to wait. */
  readonly cutAt: number;
  movedAt?: number;
  /** The instance that ran it then, where that is another one than this. */
  ranAt?: string;
  wasCut: boolean;
}

interface Self {
  readonly id: string;
}

export class Stops {
  readonly #time: Required<TimeProvider>;
  readonly #self: Self;
  readonly #stops: StopPart[] = [];
  readonly #touched = new BoundedMap<string, Touched>(TOUCHED);
  #change = 0;

  constructor(time: Required<TimeProvider>, self: Self) {
    this.#time = time;
    this.#self = self;
  }

  get change(): number {
    return this.#change;
  }

  since(change: number): readonly StopPart[] {
    const oldest = this.#time.now() - HOUR_MS;
    return this.#stops.filter((stop) => stop.change > change && stop.at >= oldest);
  }

  note(notice: EmittedNotice): void {
    switch (notice.kind) {
      case 'leaseRemoved':
        return this.#removed(this.#gone(notice.instance));
      case 'leaseLapsed':
        return this.#changed(this.#open('gone', notice.instance), { end: 'lapsed' });
      case 'storeAway':
        return void this.#open('store', undefined);
      case 'storeBack':
        return this.#over('store', undefined, {});
      case 'drainBegun':
        return void this.#open('drain', this.#self.id);
      case 'drained':
        return this.#over('drain', this.#self.id, { sessions: notice.released, end: 'drained' });
      case 'relayed':
        return this.#relayed(notice);
      case 'restored':
        return notice.cause === 'takeover' ? this.#tookOver(notice.sessionId, notice.from) : undefined;
      case 'callLost':
        return this.#callLost(notice);
      case 'waited':
        return this.#waited(notice);
      case 'resumed':
        return this.#resumed(notice.sessionId);
      default:
        return undefined;
    }
  }

  #removed(stop: StopPart): void {
    this.#changed(stop, { end: stop.end ?? 'removed' });
  }

  /** A call has its end. Most calls were not touched, so this is one look into a map that is empty most of the time. */
  request(notice: RequestNotice): void {
    if (this.#touched.size === 0 || notice.sessionId === undefined) return;
    const touched = this.#touched.get(notice.sessionId);
    if (touched === undefined) return;
    const now = this.#time.now();
    const start = now - notice.ms;
    // It came after the session had continued.
    if (start > (touched.movedAt ?? touched.cutAt) || now - touched.cutAt > CALL_MS) {
      this.#touched.delete(notice.sessionId);
      return;
    }
    this.#ended(touched, notice, start, now);
  }

  #ended(
    { stop, cutAt, movedAt = cutAt, ranAt, wasCut }: Touched,
    notice: RequestNotice,
    start: number,
    now: number,
  ): void {
    if (notice.http !== 'POST' || notice.method?.startsWith('notifications/') === true) return;
    const cut = Math.max(start, Math.min(cutAt, movedAt));
    const wait = Math.max(0, movedAt - cut);
    const { failure, left, status, method, target } = notice;
    const isLost = failure?.reason === 'owner_lost';
    const failed = !isLost && (failure?.error !== undefined || status >= 400);
    const outcome = isLost ? 'lost' : failed ? 'failed' : left ? 'left' : wasCut ? 'again' : 'went on';
    stop.waited += isLost || failed || left ? 0 : 1;
    stop.failed += failed ? 1 : 0;
    stop.longestMs = Math.max(stop.longestMs, Math.round(wait));
    const call: StopCall = {
      ...(method !== undefined && { method }),
      ...(target !== undefined && failure?.error === undefined && { target }),
      start: Math.round(start - stop.at),
      cut: Math.round(cut - stop.at),
      wait: Math.round(wait * 10) / 10,
      run: Math.round((now - Math.max(cut, movedAt)) * 10) / 10,
      outcome,
      to: ranAt ?? this.#self.id,
    };
    if (stop.calls.length < CALLS) stop.calls.push(call);
    else keepLonger(stop.calls, call);
    this.#changed(stop, {});
  }

  #relayed({ to, outcome, sessionId }: RelayedNotice): void {
    if (sessionId === undefined) return;
    const touched = this.#touched.size === 0 ? undefined : this.#touched.get(sessionId);
    if (outcome === 'done' && touched !== undefined) touched.ranAt = to;
    if (outcome !== 'lost') return;
    const now = this.#time.now();
    const stop = this.#gone(to);
    this.#touched.set(sessionId, { stop, cutAt: now, wasCut: true });
    this.#changed(stop, {});
  }

  #tookOver(sessionId: string, from: string | undefined): void {
    if (from === undefined || from === this.#self.id) return;
    const now = this.#time.now();
    const stop = this.#gone(from);
    const known = this.#touched.get(sessionId);
    if (known === undefined) this.#touched.set(sessionId, { stop, cutAt: stop.at, movedAt: now, wasCut: false });
    else {
      known.movedAt = now;
      delete known.ranAt;
    }
    stop.moved += 1;
    this.#changed(stop, {});
  }

  #callLost({ runsAgain, sessionId }: CallLostNotice): void {
    const touched = sessionId === undefined ? undefined : this.#touched.get(sessionId);
    const stop = touched?.stop ?? this.#newest('gone');
    if (stop === undefined) return;
    if (touched !== undefined && runsAgain) touched.wasCut = true;
    stop.lost += runsAgain ? 0 : 1;
    this.#changed(stop, {});
  }

  #waited({ sessionId, reason, ms, outcome }: WaitedNotice): void {
    const now = this.#time.now();
    const of = waitedFor(reason);
    if (of === 'place') return;
    const stop = of === 'store' || of === 'lease' ? this.#newest('store') : this.#touched.get(sessionId)?.stop;
    if (stop === undefined) return;
    stop.longestMs = Math.max(stop.longestMs, Math.round(ms));
    if (outcome !== 'served') return this.#changed(stop, {});
    // The end of its request counts it.
    this.#touched.set(sessionId, { stop, cutAt: now - ms, movedAt: now, wasCut: false });
    this.#changed(stop, {});
  }

  #resumed(sessionId: string | undefined): void {
    const stop = sessionId === undefined ? undefined : this.#touched.get(sessionId)?.stop;
    if (stop === undefined) return;
    stop.resumed += 1;
    this.#changed(stop, {});
  }

  #gone(instance: string): StopPart {
    const known = this.#stops.find((stop) => stop.kind === 'gone' && stop.instance === instance);
    // A sign may come late: a session is taken over when its client comes back.
    return known ?? this.#open('gone', instance);
  }

  #newest(kind: StoppedInstance['kind']): StopPart | undefined {
    const now = this.#time.now();
    return this.#stops.findLast(
      (stop) => stop.kind === kind && (kind === 'store' ? now - (stop.overAt ?? now) : now - stop.at) < SAME_MS,
    );
  }

  #open(kind: StoppedInstance['kind'], instance: string | undefined): StopPart {
    const at = this.#time.now();
    const stop = newStop(this.#self.id, kind, instance, at);
    this.#stops.push(stop);
    if (this.#stops.length > STOPS) this.#stops.shift();
    this.#changed(stop, {});
    return stop;
  }

  #over(kind: StoppedInstance['kind'], instance: string | undefined, more: Partial<StopPart>): void {
    const stop = this.#stops.findLast((one) => one.kind === kind && one.instance === instance);
    if (stop !== undefined) this.#changed(stop, { overAt: this.#time.now(), ...more });
  }

  #changed(stop: StopPart, more: Partial<StopPart>): void {
    Object.assign(stop, more, { change: ++this.#change });
  }
}

/** The longest are kept, and those that ended badly. */
function keepLonger(calls: StopCall[], call: StopCall): void {
  const weight = ({ wait, outcome }: StopCall): number =>
    outcome === 'lost' || outcome === 'failed' ? Infinity : wait;
  const least = calls.reduce((low, one, n) => (weight(one) < weight(calls[low] as StopCall) ? n : low), 0);
  if (weight(call) > weight(calls[least] as StopCall)) calls[least] = call;
}
