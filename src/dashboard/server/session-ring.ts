/**
 * The newest things that happened to the sessions of this instance: their requests, and what became of the sessions.
 * One ring for all sessions, so that no number of them makes it grow. A page of a session asks for its rows.
 */
import { BoundedMap } from '../../bounded-map.ts';
import type { RequestNotice, SessionNotice } from '../../observe/notices.ts';
import type { WaitedNotice } from '../../observe/step-notices.ts';
import type { SessionEventMap } from '../../types.ts';
import type { EventRow, MessageRow, PayloadLine, TimelineRow } from '../wire-pages.ts';

/** A row takes some 350 bytes, and at most 1 KiB: its texts are cut. */
const ROWS = 2_048;
/** Longer ids, which only a generator of the application makes, have no rows. */
const ID_LENGTH = 128;
/** What is known of a call before its end: of so many sessions. */
const OPEN = 512;
const MOST = 500;

type Row = RequestNotice | SessionNotice | { readonly kind: 'event'; readonly row: EventRow };

interface Entry {
  readonly session: string;
  readonly at: number;
  readonly row: Row;
  readonly wait: WaitedNotice | undefined;
  /** The owner, where another instance ran it. */
  readonly ran: string | undefined;
  readonly wasLost: boolean;
  readonly payload: readonly PayloadLine[] | undefined;
}

function plain(session: string, at: number, row: Row): Entry {
  return { session, at, row, wait: undefined, ran: undefined, wasLost: false, payload: undefined };
}

export class SessionRing {
  readonly #self: { readonly id: string };
  readonly #entries: (Entry | undefined)[] = Array.from({ length: ROWS });
  readonly #waits = new BoundedMap<string, WaitedNotice>(OPEN);
  readonly #relays = new BoundedMap<string, { readonly at: number; readonly to: string; readonly lost: boolean }>(OPEN);
  #next = 0;

  constructor(self: { readonly id: string }) {
    this.#self = self;
  }

  waited(notice: WaitedNotice): void {
    this.#waits.set(notice.sessionId, notice);
  }

  relayed(sessionId: string, to: string, lost: boolean, at: number): void {
    this.#relays.set(sessionId, { at, to, lost: lost || this.#relays.get(sessionId)?.lost === true });
  }

  /** `payload`: for a person who asked for it. */
  request(notice: RequestNotice, session: string, now: number, payload?: readonly PayloadLine[]): void {
    const wait = this.#waits.size === 0 ? undefined : this.#waits.get(session);
    const noted = this.#relays.size === 0 ? undefined : this.#relays.get(session);
    // A relay that ended before this request began was of another one, such as a GET stream.
    const relay = noted !== undefined && noted.at >= now - notice.ms ? noted : undefined;
    if (wait !== undefined) this.#waits.delete(session);
    if (noted !== undefined) this.#relays.delete(session);
    this.#push({
      session,
      at: now - notice.ms,
      // What a request carried must not stay in memory.
      row: notice.payload === undefined ? notice : { ...notice, payload: undefined },
      wait,
      ran: relay?.to,
      wasLost: relay?.lost === true,
      payload,
    });
  }

  happened(notice: SessionNotice): void {
    this.#push(plain(notice.sessionId, notice.at, notice));
  }

  event(session: string, row: EventRow): void {
    this.#push(plain(session, row.at, { kind: 'event', row }));
  }

  /** Newest first. */
  rowsOf(session: string): TimelineRow[] {
    const rows: TimelineRow[] = [];
    for (let n = 1; n <= ROWS && rows.length < MOST; n++) {
      const entry = this.#entries[(this.#next - n + ROWS * 2) % ROWS];
      if (entry === undefined) break;
      if (entry.session === session) rows.push(this.#shown(entry));
    }
    return rows;
  }

  /** The trace of the newest request that named one. */
  traceOf(session: string): string | undefined {
    for (let n = 1; n <= ROWS; n++) {
      const entry = this.#entries[(this.#next - n + ROWS * 2) % ROWS];
      if (entry === undefined) return undefined;
      if (entry.session === session && entry.row.kind === 'request' && entry.row.trace !== undefined)
        return entry.row.trace;
    }
    return undefined;
  }

  /** Whether older rows than those that are here were forgotten. */
  get isFull(): boolean {
    return this.#entries[this.#next] !== undefined;
  }

  #push(entry: Entry): void {
    if (entry.session.length > ID_LENGTH) return;
    this.#entries[this.#next] = entry;
    this.#next = (this.#next + 1) % ROWS;
  }

  #shown(entry: Entry): TimelineRow {
    const { at, row } = entry;
    if (row.kind === 'event') return row.row;
    if (row.kind === 'request') return this.#message(entry, row, at);
    return eventRow(row, this.#self.id);
  }

  #message({ wait, ran, wasLost, payload }: Entry, notice: RequestNotice, at: number): MessageRow {
    const { method, target, failure, http, status, ms } = notice;
    const error = failure?.reason ?? (failure?.isError === true ? 'isError' : failure?.error?.toString());
    const refused = notice.refused?.reason ?? (status >= 400 ? String(status) : undefined);
    const shownError = error ?? refused;
    const outcome = outcomeOf(notice, wasLost);
    // A client may call any name. A name that the server does not have is answered with an error.
    const isKnown = target !== undefined && failure?.error === undefined;
    return {
      kind: 'message',
      at: Math.round(at),
      direction: 'in',
      method: method ?? (http === 'GET' ? 'GET stream' : http),
      ...(isKnown && { target }),
      stream: http === 'GET' ? 'GET' : 'POST',
      instance: ran ?? this.#self.id,
      ...(ran !== undefined && ran !== this.#self.id && { via: this.#self.id }),
      ms: Math.round(ms * 10) / 10,
      ...(wait !== undefined && { waitedMs: Math.round(wait.ms), waitedFor: waitedFor(wait.reason) }),
      ...(outcome !== undefined && { outcome }),
      ...(shownError !== undefined && { error: shownError }),
      ...(payload !== undefined && { payload }),
    };
  }
}

function outcomeOf({ failure, left, resumed, status }: RequestNotice, wasLost: boolean): MessageRow['outcome'] {
  if (failure?.reason === 'owner_lost') return 'lost';
  if (left) return 'left';
  if (failure?.error !== undefined || status >= 400) return 'failed';
  if (resumed) return 'resumed';
  return wasLost ? 'again' : undefined;
}

/** What a call waited for, by the reason of its notice. */
export function waitedFor(reason: string): NonNullable<MessageRow['waitedFor']> {
  if (reason === 'store_away') return 'store';
  if (reason === 'lapsed') return 'lease';
  return /^(?:too_many|over_|user_limit|tool_limit|overloaded)/.test(reason) ? 'place' : 'owner';
}

const TAKEN_OVER = {
  died: 'Its owner died; it continues here',
  released: 'Its owner had drained; it continues here',
  hibernated: 'It was idle at another instance; its next request woke it here',
} as const;

const RESTORED = {
  wake: ['woken', 'It was idle; its next request woke it'],
  takeover: ['takenOver', 'Its owner stopped; it continues here'],
  migration: ['migrated', 'It came from another deployment'],
  reclaim: ['reclaimed', 'Its owner has a new lease'],
} as const;

function restored({ cause, after }: Pick<SessionEventMap['restored'][0], 'cause' | 'after'>) {
  if (cause !== 'takeover' || after === undefined) return RESTORED[cause];
  return [after === 'hibernated' ? 'woken' : 'takenOver', TAKEN_OVER[after]] as const;
}

function eventRow(notice: SessionNotice, instance: string): EventRow {
  const row = (what: EventRow['what'], text: string, more?: Partial<EventRow>): EventRow => ({
    kind: 'event',
    at: notice.at,
    what,
    text,
    instance,
    ...more,
  });
  switch (notice.kind) {
    case 'opened':
      return row('opened', 'The client opened it');
    case 'restored': {
      const [what, text] = restored(notice);
      return row(what, text, notice.from === undefined ? {} : { from: notice.from });
    }
    case 'hibernated':
      return row('hibernated', 'It was idle: its record stays in the store');
    case 'released':
      return row('released', 'Its instance gave it back to the store');
    case 'fenced':
      return row('fenced', 'Another instance owns it now');
    case 'ended':
      return row('ended', `It ended: ${notice.reason}`);
  }
}
