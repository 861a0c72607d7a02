/**
 * The newest things that happened to the sessions of this instance: their requests, and what became of the sessions.
 * One ring for all sessions, so that no number of them makes it grow. A page of a session asks for its rows.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { RequestNotice, SessionNotice } from '../../observe/notices.ts';
import type { WaitedNotice } from '../../observe/step-notices.ts';
import type { SessionEventMap, TimeProvider } from '../../types.ts';
import type { EventRow, MessageRow, PayloadLine, TimelineRow } from '../wire-pages.ts';

/** A row takes some 350 bytes, and at most 1 KiB: its texts are cut. */
const ROWS = 2_048;
/** Longer ids, which only a generator of the application makes, have no rows. */
const ID_LENGTH = 128;
/** What is known of a call before its end: of so many sessions. */
const OPEN = 512;
const MOST = 500;

/** What most requests do not have. */
interface Unusual {
  readonly failure: RequestNotice['failure'];
  readonly refused: RequestNotice['refused'];
  readonly left: boolean;
  readonly resumed: boolean;
  readonly wait: WaitedNotice | undefined;
  readonly relay: Relay | undefined;
  readonly payload: readonly PayloadLine[] | undefined;
}

interface Relay {
  readonly at: number;
  /** The owner, which ran it. */
  readonly to: string;
  readonly lost: boolean;
}

/** One place of the ring. Each request writes over an older one: nothing is allocated for it. */
class Entry {
  session = '';
  /** `undefined`: a request, which the members below are about. */
  event: SessionNotice | EventRow | undefined = undefined;
  /** A time of `monotonic()`. */
  began = 0;
  ms = 0;
  http = '';
  method: string | undefined = undefined;
  target: string | undefined = undefined;
  status = 0;
  trace: string | undefined = undefined;
  unusual: Unusual | undefined = undefined;
}

export class SessionRing {
  readonly #self: { readonly id: string };
  readonly #time: Required<TimeProvider>;
  readonly #entries: (Entry | undefined)[] = Array.from({ length: ROWS });
  readonly #waits = new BoundedMap<string, WaitedNotice>(OPEN);
  readonly #relays = new BoundedMap<string, Relay>(OPEN);
  #next = 0;

  constructor(time: Required<TimeProvider>, self: { readonly id: string }) {
    this.#time = time;
    this.#self = self;
  }

  waited(notice: WaitedNotice): void {
    this.#waits.set(notice.sessionId, notice);
  }

  relayed(sessionId: string, to: string, lost: boolean): void {
    const at = this.#time.monotonic();
    this.#relays.set(sessionId, { at, to, lost: lost || this.#relays.get(sessionId)?.lost === true });
  }

  /** `payload`: for a person who asked for it. Nothing else of what the request carried stays in memory. */
  request(notice: RequestNotice, session: string, payload?: readonly PayloadLine[]): void {
    const unusual = this.#unusual(notice, session, payload);
    const entry = this.#place(session);
    if (entry === undefined) return;
    entry.event = undefined;
    entry.began = notice.endedAt - notice.ms;
    entry.ms = notice.ms;
    entry.http = notice.http;
    entry.method = notice.method;
    entry.target = notice.target;
    entry.status = notice.status;
    entry.trace = notice.trace;
    entry.unusual = unusual;
  }

  happened(notice: SessionNotice): void {
    this.#noteEvent(notice.sessionId, notice);
  }

  event(session: string, row: EventRow): void {
    this.#noteEvent(session, row);
  }

  /** Newest first. */
  rowsOf(session: string): TimelineRow[] {
    const sinceStart = this.#time.now() - this.#time.monotonic();
    const entries: Entry[] = [];
    for (const entry of this.#newestFirst()) {
      if (entry.session !== session) continue;
      entries.push(entry);
      if (entries.length === MOST) break;
    }
    // A request is noted at its end, and what it did to the session before that.
    return entries
      .toSorted((one, other) => other.began - one.began)
      .map((entry) => {
        const { event } = entry;
        const at = Math.floor(sinceStart + entry.began);
        if (event === undefined) return messageRow(entry, at, this.#self.id);
        return { ...(event.kind === 'event' ? event : eventRow(event, this.#self.id)), at };
      });
  }

  /** The trace of the newest request that named one. */
  traceOf(session: string): string | undefined {
    for (const entry of this.#newestFirst())
      if (entry.session === session && entry.event === undefined && entry.trace !== undefined) return entry.trace;
    return undefined;
  }

  /** Whether older rows than those that are here were forgotten. */
  get isFull(): boolean {
    return this.#entries[this.#next] !== undefined;
  }

  *#newestFirst(): Iterable<Entry> {
    for (let n = 1; n <= ROWS; n++) {
      const entry = this.#entries[(this.#next - n + ROWS) % ROWS];
      if (entry === undefined) return;
      yield entry;
    }
  }

  #unusual(notice: RequestNotice, session: string, payload: Unusual['payload']): Unusual | undefined {
    const wait = this.#waits.size === 0 ? undefined : this.#waits.get(session);
    const noted = this.#relays.size === 0 ? undefined : this.#relays.get(session);
    if (wait !== undefined) this.#waits.delete(session);
    if (noted !== undefined) this.#relays.delete(session);
    const { failure, refused, left, resumed } = notice;
    // A relay that ended before this request began was of another one, such as a GET stream.
    const relay = noted !== undefined && noted.at >= notice.endedAt - notice.ms ? noted : undefined;
    const isUsual = failure === undefined && refused === undefined && !left && !resumed;
    if (isUsual && wait === undefined && relay === undefined && payload === undefined) return undefined;
    return { failure, refused, left, resumed, wait, relay, payload };
  }

  #noteEvent(session: string, event: SessionNotice | EventRow): void {
    const entry = this.#place(session);
    if (entry === undefined) return;
    Object.assign(entry, new Entry());
    entry.session = session;
    entry.event = event;
    entry.began = this.#time.monotonic();
  }

  /** Where the next row belongs. `undefined`: its session has none. */
  #place(session: string): Entry | undefined {
    if (session.length > ID_LENGTH) return undefined;
    const entry = (this.#entries[this.#next] ??= new Entry());
    this.#next = (this.#next + 1) % ROWS;
    entry.session = session;
    return entry;
  }
}

function messageRow(entry: Entry, at: number, self: string): MessageRow {
  const { method, target, http, status, ms, unusual } = entry;
  const { failure, refused, wait, relay, payload } = unusual ?? {};
  const error = failure?.reason ?? (failure?.isError === true ? 'isError' : failure?.error?.toString());
  const shownError = error ?? refused?.reason ?? (status >= 400 ? String(status) : undefined);
  const outcome = outcomeOf(entry);
  // A client may call any name. A name that the server does not have is answered with an error.
  const isKnown = target !== undefined && failure?.error === undefined;
  return {
    kind: 'message',
    at,
    direction: 'in',
    method: method ?? (http === 'GET' ? 'GET stream' : http),
    ...(isKnown && { target }),
    stream: http === 'GET' ? 'GET' : 'POST',
    instance: relay?.to ?? self,
    ...(relay !== undefined && relay.to !== self && { via: self }),
    ms: Math.round(ms * 10) / 10,
    ...(wait !== undefined && { waitedMs: Math.round(wait.ms), waitedFor: waitedFor(wait.reason) }),
    ...(outcome !== undefined && { outcome }),
    ...(shownError !== undefined && { error: shownError }),
    ...(payload !== undefined && { payload }),
  };
}

function outcomeOf({ status, unusual }: Entry): MessageRow['outcome'] {
  const { failure, left = false, resumed = false, relay } = unusual ?? {};
  if (failure?.reason === 'owner_lost') return 'lost';
  if (left) return 'left';
  if (failure?.error !== undefined || status >= 400) return 'failed';
  if (resumed) return 'resumed';
  return relay?.lost === true ? 'again' : undefined;
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
