/**
 * What an instance keeps about itself once a dashboard is mounted: everything else is asked when a page is open. It
 * listens to the notices and is on the way of no call. All that it holds is bounded, whatever clients send:
 *
 *     the last hour        120 bins                      `hour.ts`
 *     refusals             256 rows and "others"         `refusal-rows.ts`
 *     events               200                           `fleet-events.ts`
 *     interruptions        16 with 64 calls each         `stops.ts`
 *     timelines            2,048 rows of all sessions    `session-ring.ts`
 *     clients without      256                           `sessionless.ts`
 */
import type { EmittedNotice, Notices, RequestNotice } from '../../observe/notices.ts';
import type { Registry } from '../../session/registry.ts';
import type { SessionEventMap, TimeProvider } from '../../types.ts';
import type { InstanceCounters } from '../wire.ts';
import type { LeftRow } from '../wire-pages.ts';
import { Payloads } from './payloads.ts';
import { FleetEvents } from './fleet-events.ts';
import { Hour } from './hour.ts';
import { RefusalRows } from './refusal-rows.ts';
import { Sessionless } from './sessionless.ts';
import { SessionRing } from './session-ring.ts';
import { Stops } from './stops.ts';

/** Learns which sessions changed, while a page shows rows of sessions. */
interface WatchesSessions {
  changed(sessionId: string): void;
  left(sessionId: string, status: LeftRow['status'], leftAt: number): void;
}

export class Collector {
  readonly #time: Required<TimeProvider>;
  readonly hour: Hour;
  readonly refusals: RefusalRows;
  readonly events: FleetEvents;
  readonly stops: Stops;
  readonly ring: SessionRing;
  readonly clients: Sessionless;
  readonly payloads: Payloads;
  readonly #count = { requests: 0, sessionless: 0, relayed: 0, moved: 0, released: 0 };
  #rows: WatchesSessions | undefined;

  constructor(time: Required<TimeProvider>, registry: Registry, notices: Notices, self: { readonly id: string }) {
    this.#time = time;
    this.hour = new Hour(time, registry);
    this.refusals = new RefusalRows(time);
    this.events = new FleetEvents(time, self);
    this.stops = new Stops(time, self);
    this.ring = new SessionRing(time, self);
    this.clients = new Sessionless(time);
    this.payloads = new Payloads(time, notices);
    notices.listen((notice) => this.#note(notice), { requests: true, details: true, clients: true });
  }

  get count(): InstanceCounters {
    return { ...this.#count };
  }

  /** `undefined`: nothing asks for rows any more. */
  watchSessions(rows: WatchesSessions | undefined): void {
    this.#rows = rows;
  }

  stop(): void {
    this.hour.stop();
    this.payloads.stop();
  }

  #note(notice: EmittedNotice): void {
    switch (notice.kind) {
      case 'request':
        return this.#request(notice);
      case 'storeCall':
        return this.hour.storeCall(notice.ms);
      case 'refused':
        this.hour.refused();
        return this.refusals.note(notice, notice.exchange);
      case 'waited':
        this.hour.waits();
        this.ring.waited(notice);
        return this.stops.note(notice);
      case 'relayed':
        this.#count.relayed += 1;
        if (notice.sessionId !== undefined) this.ring.relayed(notice.sessionId, notice.to, notice.outcome === 'lost');
        return this.stops.note(notice);
      default:
        return this.#step(notice);
    }
  }

  #step(notice: Exclude<EmittedNotice, RequestNotice>): void {
    switch (notice.kind) {
      case 'opened':
      case 'restored':
      case 'hibernated':
      case 'released':
      case 'fenced':
      case 'ended':
        if (notice.kind === 'restored' && hasMoved(notice)) this.#count.moved += 1;
        if (notice.kind === 'released') this.#count.released += 1;
        this.ring.happened(notice);
        if (notice.kind === 'opened' || notice.kind === 'restored') this.#rows?.changed(notice.sessionId);
        // The new owner of a fenced one says where it is.
        else if (notice.kind !== 'fenced') this.#rows?.left(notice.sessionId, notice.kind, notice.at);
        break;
      case 'resumed':
        if (notice.sessionId !== undefined)
          this.ring.event(notice.sessionId, {
            kind: 'event',
            at: this.#time.now(),
            what: 'resumed',
            text: RESUMED[notice.outcome],
          });
        break;
      case 'refused':
      case 'handlerThrew':
      case 'clientSeen':
      case 'dropped':
      case 'listChanged':
        return;
      default:
    }
    this.stops.note(notice);
    this.events.note(notice);
  }

  #request(notice: RequestNotice): void {
    const { http, method, ms, sessionId, status } = notice;
    if (http === 'POST') {
      this.#count.requests += 1;
      if (sessionId === undefined) this.#count.sessionless += 1;
      // A listen stream is no answer that a client waits for.
      if (method !== 'subscriptions/listen') this.hour.request(ms);
    }
    if (sessionId === undefined) return this.clients.request(notice);
    // Clients may send any id.
    if (status === 404) return;
    this.ring.request(notice, sessionId, this.payloads.linesOf(sessionId, notice.payload));
    this.stops.request(notice);
    this.#rows?.changed(sessionId);
  }
}

/** It continues here because the instance that had it stopped: it died, or drained. */
const hasMoved = ({ cause, after }: Pick<SessionEventMap['restored'][0], 'cause' | 'after'>): boolean =>
  cause === 'takeover' && after !== 'hibernated';

const RESUMED = {
  continued: 'Its client came back and got what it had missed',
  finished: 'Its client came back; nothing had followed',
  gap: 'Its client came back too late: what it had missed is not kept',
} as const;
