/**
 * The sessions of the deployment, as the page lists them: parts of a scan of the store, and the exact values of
 * sessions that are live here.
 *
 * A part has 1,000 records and the page asks for the next one, up to 20,000. Pages that look at the same time share a
 * part: its text, some 250 bytes for a session, is kept for `KEPT_MS`. Which part has which session, 8 bytes for each,
 * is kept until no page is open (`session-index.ts`).
 *
 * The cursor of a store may be the id of a session, so a page gets it sealed with a secret of the deployment: every
 * instance opens it, and the page cannot read it.
 */
import { BoundedMap } from '../../bounded-map.ts';
import type { LiveSession } from '../../session/session.ts';
import { bytesOf, summary } from '../../session/record/session-summary.ts';
import { keptText, sessionHash, userName } from '../../shown.ts';
import { afterTurn, systemRandom } from '../../options/system.ts';
import { NONCE_BYTES, open, seal, sealingKey } from '../../protocol/sealed-text.ts';
import { isEnded, type StoredRecord } from '../../stores/store.ts';
import type { SessionPage, SessionRow } from '../wire-pages.ts';
import type { DashboardParts } from './parts.ts';
import { SessionIndex } from './session-index.ts';

const PART = 1_000;
/** Records that one look for a hash, or one count, reads at most. */
const MOST = 20_000;
const KEPT_MS = 2_000;
/** With what the index has of it, a session takes at most 300 bytes. A part with longer texts is not kept. */
const PART_BYTES = PART * 290;
const KEPT_BYTES = (MOST / PART) * PART_BYTES;
/** Sessions that pages looked at. */
const LOOKED_AT = 256;
/** A text with one such character takes two bytes for each. */
const WIDE = /[^\0-\xff]/;

interface Part {
  readonly at: number;
  readonly json: Promise<string>;
  bytes: number;
}

export class SessionRows {
  readonly #parts: DashboardParts;
  readonly #kept = new Map<string, Part>();
  readonly #index = new SessionIndex(MOST / PART);
  /** Ids by hash, of sessions that were looked at. */
  readonly #ids = new BoundedMap<string, string>(LOOKED_AT);
  #scanning: Promise<void> | undefined;
  #keptBytes = 0;
  #timer: unknown;
  #key: Uint8Array | undefined;

  constructor(parts: DashboardParts) {
    this.#parts = parts;
  }

  /** The JSON text of a `SessionPage`. `undefined`: that was not a cursor. */
  async page(sealed: string | undefined): Promise<string | undefined> {
    const cursor = sealed === undefined ? undefined : open(await this.#cursorKey(), sealed)?.toString();
    return sealed !== undefined && cursor === undefined ? undefined : this.#page(cursor);
  }

  #page(cursor: string | undefined): Promise<string> {
    const now = this.#parts.options.timeProvider.monotonic();
    this.#forget(now);
    const key = cursor ?? '';
    const known = this.#kept.get(key);
    if (known !== undefined) return known.json;
    const part: Part = { at: now, json: this.#read(cursor), bytes: 0 };
    this.#kept.set(key, part);
    part.json.then(
      (json) => {
        if (this.#kept.get(key) !== part) return;
        part.bytes = json.length * (WIDE.test(json) ? 2 : 1);
        this.#keptBytes += part.bytes;
        if (part.bytes > PART_BYTES || this.#keptBytes > KEPT_BYTES) this.#drop(key);
        this.#forgetLater();
      },
      () => this.#drop(key),
    );
    return part.json;
  }

  /** No other page may ask for a part. */
  #forgetLater(): void {
    const { timeProvider: time } = this.#parts.options;
    if (this.#timer !== undefined || this.#kept.size === 0) return;
    this.#timer = time.setTimeout(() => {
      this.#timer = undefined;
      this.#forget(time.monotonic());
      this.#forgetLater();
    }, KEPT_MS);
  }

  /** Nothing watches any more. */
  clear(): void {
    this.#parts.options.timeProvider.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#kept.clear();
    this.#index.clear();
    this.#ids.clear();
    this.#keptBytes = 0;
  }

  /** The id of a session, by its hash. `undefined`: it is not among the first 20,000 of the store. */
  async idOf(hash: string): Promise<string | undefined> {
    const known = this.#ids.get(hash);
    if (known !== undefined) return known;
    const id = (await this.#inItsPart(hash)) ?? this.#liveId(hash) ?? (await this.#anywhere(hash));
    if (id !== undefined) this.#ids.set(hash, id);
    return id;
  }

  #liveId(hash: string): string | undefined {
    for (const { id } of this.#parts.registry.values()) if (sessionHash(id) === hash) return id;
    return undefined;
  }

  async #inItsPart(hash: string): Promise<string | undefined> {
    const part = this.#index.partOf(hash);
    if (part === undefined) return undefined;
    const { records } = await this.#parts.store.sessions.list(PART, part.cursor);
    return records.find(({ id }) => sessionHash(id) === hash)?.id;
  }

  /** Reads the store. However many look for sessions that it does not have, one scan runs at a time. */
  async #anywhere(hash: string): Promise<string | undefined> {
    // The scan that runs may have passed its place before the session was there.
    for (let scans = this.#scanning === undefined ? 1 : 2; scans > 0; scans--) {
      await (this.#scanning ??= this.#scanAll());
      const id = await this.#inItsPart(hash);
      if (id !== undefined) return id;
    }
    return undefined;
  }

  async #scanAll(): Promise<void> {
    try {
      await this.scan((records, cursor) => this.#indexPart(cursor, records));
    } finally {
      this.#scanning = undefined;
    }
  }

  /** The row of a session that is live here. */
  live(id: string): SessionRow | undefined {
    const session = this.#parts.registry.get(id);
    return session && this.liveRow(session);
  }

  liveSessions(): Iterable<LiveSession> {
    return this.#parts.registry.values();
  }

  liveRow(session: LiveSession): SessionRow {
    const { id, user, handshake, version, createdAt, calls } = session;
    const { name, version: build } = handshake.clientInfo;
    return {
      hash: sessionHash(id),
      status: 'live',
      owner: this.#parts.instance.lease.id,
      ...(user !== undefined && { userName: keptText(userName(user)) }),
      clientInfo: { name: keptText(name), version: keptText(build) },
      protocolVersion: version,
      createdAt,
      ...this.#activity(session),
      calls: calls.running.opened,
      getStream: session.hasGetSink,
      posts: calls.running.size,
    };
  }

  #activity(session: LiveSession): { readonly activeAt: number; readonly exact: true } {
    const { timeProvider: time } = this.#parts.options;
    const idleMs = session.idle ? time.monotonic() - session.idleEntry.since : 0;
    return { activeAt: Math.round(time.now() - idleMs), exact: true };
  }

  async #read(cursor: string | undefined): Promise<string> {
    const { store, options } = this.#parts;
    const at = options.timeProvider.now();
    const alive = await this.#parts.instance.living();
    const { records, nextCursor } = await store.sessions.list(PART, cursor);
    const sessions = records.map((record) => this.#row(record, alive));
    this.#index.note(
      cursor,
      sessions.map(({ hash }) => hash),
    );
    const next = nextCursor && seal(await this.#cursorKey(), systemRandom(NONCE_BYTES), nextCursor);
    const page: SessionPage = { at, sessions, ...(next !== undefined && { nextCursor: next }) };
    return JSON.stringify(page);
  }

  #row(record: StoredRecord, alive: ReadonlySet<string>): SessionRow {
    const { id, user: _, hash, userName: user, clientInfo, ...rest } = summary(record, alive);
    const session = this.#parts.registry.get(id);
    const { name, version } = clientInfo;
    return {
      hash,
      ...rest,
      ...(user !== undefined && { userName: keptText(user) }),
      clientInfo: { name: keptText(name), version: keptText(version) },
      bytes: bytesOf(record).record,
      ...(session !== undefined && {
        ...this.#activity(session),
        calls: session.calls.running.opened,
        getStream: session.hasGetSink,
        posts: session.calls.running.size,
      }),
    };
  }

  async #cursorKey(): Promise<Uint8Array> {
    return (this.#key ??= sealingKey(await this.#parts.store.secret('dashboard'), 'cursors of the dashboard'));
  }

  /** `false`: there are more than it reads. */
  async scan(take: (records: readonly StoredRecord[], cursor: string | undefined) => void): Promise<boolean> {
    const { sessions } = this.#parts.store;
    let cursor: string | undefined;
    for (let read = 0; read < MOST; read += PART) {
      const page = await sessions.list(PART, cursor);
      take(page.records, cursor);
      if (page.nextCursor === undefined) return true;
      cursor = page.nextCursor;
      // A part takes some milliseconds on a store in this process.
      await new Promise<void>(afterTurn);
    }
    return false;
  }

  #indexPart(cursor: string | undefined, records: readonly StoredRecord[]): void {
    this.#index.note(
      cursor,
      records.map(({ id }) => sessionHash(id)),
    );
  }

  /** The record of a session, or what is kept of its end. Neither: the store does not know it. */
  async read(id: string) {
    const found = await this.#parts.store.sessions.read(id);
    const ended = found !== undefined && isEnded(found) ? found : undefined;
    return { record: found !== undefined && !isEnded(found) ? found : undefined, ended };
  }

  #forget(now: number): void {
    for (const [key, { at }] of this.#kept) if (now - at >= KEPT_MS) this.#drop(key);
  }

  #drop(key: string): void {
    this.#keptBytes -= this.#kept.get(key)?.bytes ?? 0;
    this.#kept.delete(key);
  }
}
