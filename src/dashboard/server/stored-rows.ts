/**
 * Records of the deployment, as the page lists them: parts of a scan of the store.
 *
 * The page asks for the next part until it has enough. Pages that look at the same time share a part: its text is kept
 * for `KEPT_MS`. Which part has which record, 8 bytes for each, is kept until no page is open (`row-index.ts`).
 *
 * The cursor of a store may be the id of a session, so a page gets it sealed with a secret of the deployment: every
 * instance opens it, and the page cannot read it.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { afterTurn, systemRandom } from '../../base/system.ts';
import { NONCE_BYTES, open, seal, sealingKey } from '../../protocol/sealed-text.ts';
import { sessionHash } from '../../base/shown.ts';
import { isEnded, type Records, type StoredRecord } from '../../stores/store.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import { RowIndex } from './row-index.ts';

const KEPT_MS = 2_000;
/** Records that pages looked at. */
const LOOKED_AT = 256;
/** A text with one such character takes two bytes for each. */
const WIDE = /[^\0-\xff]/;

interface Part {
  readonly at: number;
  readonly json: Promise<string>;
  bytes: number;
}

interface Bounds {
  /** Records of a part. */
  readonly part: number;
  /** Records that one look for a hash, or one count, reads at most. */
  readonly most: number;
  /** Bytes of the text of a record, on average. A part with longer texts is not kept. */
  readonly bytes: number;
}

export abstract class StoredRows {
  protected readonly parts: DashboardParts;
  readonly #bounds: Bounds;
  readonly #kept = new Map<string, Part>();
  readonly #index: RowIndex;
  /** Ids by hash, of records that were looked at. */
  readonly #ids = new BoundedMap<string, string>(LOOKED_AT);
  #scanning: Promise<void> | undefined;
  #keptBytes = 0;
  #timer: unknown;
  #key: Uint8Array | undefined;

  constructor(parts: DashboardParts, bounds: Bounds) {
    this.parts = parts;
    this.#bounds = bounds;
    this.#index = new RowIndex(bounds.most / bounds.part);
  }

  protected abstract get records(): Records;
  /** What the secret of its cursors is for. */
  protected abstract readonly purpose: string;
  /** The JSON value of a part. */
  protected abstract pageOf(records: readonly StoredRecord[], nextCursor: string | undefined): Promise<object>;
  /** Its id, where this instance knows it without the store. */
  protected abstract knownId(hash: string): string | undefined;

  /** The JSON text of a part. `undefined`: that was not a cursor. */
  async page(sealed: string | undefined): Promise<string | undefined> {
    const cursor = sealed === undefined ? undefined : open(await this.#cursorKey(), sealed)?.toString();
    return sealed !== undefined && cursor === undefined ? undefined : this.#page(cursor);
  }

  #page(cursor: string | undefined): Promise<string> {
    const now = this.parts.options.timeProvider.monotonic();
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
        const { part: records, most, bytes } = this.#bounds;
        if (part.bytes > records * bytes || this.#keptBytes > most * bytes) this.#drop(key);
        this.#forgetLater();
      },
      () => this.#drop(key),
    );
    return part.json;
  }

  /** A page has changed a record: what it reads next shows that. */
  changed(): void {
    for (const key of this.#kept.keys()) this.#drop(key);
  }

  /** No other page may ask for a part. */
  #forgetLater(): void {
    const { timeProvider: time } = this.parts.options;
    if (this.#timer !== undefined || this.#kept.size === 0) return;
    this.#timer = time.setTimeout(() => {
      this.#timer = undefined;
      this.#forget(time.monotonic());
      this.#forgetLater();
    }, KEPT_MS);
  }

  /** Nothing watches any more. */
  clear(): void {
    this.parts.options.timeProvider.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#kept.clear();
    this.#index.clear();
    this.#ids.clear();
    this.#keptBytes = 0;
  }

  /** The id of a record, by its hash. `undefined`: it is not among the first of the store. */
  async idOf(hash: string): Promise<string | undefined> {
    const known = this.#ids.get(hash);
    if (known !== undefined) return known;
    const id = (await this.#inItsPart(hash)) ?? this.knownId(hash) ?? (await this.#anywhere(hash));
    if (id !== undefined) this.#ids.set(hash, id);
    return id;
  }

  async #inItsPart(hash: string): Promise<string | undefined> {
    const part = this.#index.partOf(hash);
    if (part === undefined) return undefined;
    const { records } = await this.records.list(this.#bounds.part, part.cursor);
    return records.find(({ id }) => sessionHash(id) === hash)?.id;
  }

  /** Reads the store. However many look for records that it does not have, one scan runs at a time. */
  async #anywhere(hash: string): Promise<string | undefined> {
    // The scan that runs may have passed its place before the record was there.
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

  async #read(cursor: string | undefined): Promise<string> {
    const { records, nextCursor } = await this.records.list(this.#bounds.part, cursor);
    this.#indexPart(cursor, records);
    const next = nextCursor && seal(await this.#cursorKey(), systemRandom(NONCE_BYTES), nextCursor);
    return JSON.stringify(await this.pageOf(records, next));
  }

  async #cursorKey(): Promise<Uint8Array> {
    return (this.#key ??= sealingKey(await this.parts.store.secret('dashboard'), this.purpose));
  }

  /** `false`: there are more than it reads. */
  async scan(take: (records: readonly StoredRecord[], cursor: string | undefined) => void): Promise<boolean> {
    const { part, most } = this.#bounds;
    let cursor: string | undefined;
    for (let read = 0; read < most; read += part) {
      const page = await this.records.list(part, cursor);
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

  /** The record, or what is kept of its end. Neither: the store does not know it. */
  async read(id: string) {
    const found = await this.records.read(id);
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
