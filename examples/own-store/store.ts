/** A whole store on nothing but a table of keys and values: here a file that the processes of one machine share. */
import Database from 'libsql';
import type {
  Backend,
  DuePlace,
  LogEntry,
  EntryTexts,
  Kind,
  LogWrite,
  Mailboxes,
} from 'sojourn/store';
import type { Receive, Row, RowTexts, RowWrite, Store, StoreOptions, Write } from 'sojourn/store';
import {
  countedIn,
  entryBytes,
  entryOfTexts,
  entryTexts,
  isRowWrite,
  openView,
  rowOf,
  textsOf,
} from 'sojourn/store';

/** Keys are in the order of their bytes. */
export class Table {
  readonly #db: Database.Database;

  constructor(file: string) {
    this.#db = new Database(file, { timeout: 5_000 });
    this.#db.exec('PRAGMA journal_mode = WAL');
    this.#db.exec(
      'CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID',
    );
  }
  get(key: string): string | undefined {
    return (
      this.#db.prepare('SELECT value FROM kv WHERE key = ?').get(key) as
        | { value: string }
        | undefined
    )?.value;
  }
  values(after: string, before: string, limit = -1): string[] {
    const found = this.#db.prepare(
      'SELECT value FROM kv WHERE key > ? AND key < ? ORDER BY key LIMIT ?',
    );
    return (found.all(after, before, limit) as { value: string }[]).map(({ value }) => value);
  }
  /** What keys between two have behind the first. */
  keys(after: string, before: string): string[] {
    const found = this.#db.prepare('SELECT key FROM kv WHERE key > ? AND key < ? ORDER BY key');
    return (found.all(after, before) as { key: string }[]).map(({ key }) =>
      key.slice(after.length),
    );
  }
  put(key: string, value: string): void {
    this.#db.prepare('INSERT OR REPLACE INTO kv VALUES (?, ?)').run(key, value);
  }
  delete(key: string): void {
    this.#db.prepare('DELETE FROM kv WHERE key = ?').run(key);
  }
  /** All of it takes effect, or nothing. */
  step<T>(run: () => T): T {
    return this.#db.transaction(run).immediate();
  }
  close(): void {
    this.#db.close();
  }
}

/** Numbers whose texts have their order. Wake times have fractions; the first place of all is before 1970. */
const padded = (number: number): string => String(number).padStart(16, '0');
const timed = (ms: number): string => padded(Math.max(0, Math.round(ms * 1_000)));

type StoredRow = RowTexts & { share: string | null; stamp: number };

/** Ids are visible ASCII: a blank ends one, and `~~` is behind all that begin with the text before it. */
export function backendOn(
  table: Table,
  { deployment, time }: Pick<StoreOptions, 'deployment' | 'time'>,
): Backend {
  const where = 'a table of keys and values';
  const key = (
    kind: Kind,
    part: 'row' | 'list' | 'due' | 'share' | 'ended' | 'log' | 'kept',
    rest: string,
  ): string => `${JSON.stringify([deployment, kind.name])} ${part} ${rest}`;
  const textsAt = (kind: Kind, id: string): StoredRow | undefined =>
    JSON.parse(table.get(key(kind, 'row', id)) ?? 'null') ?? undefined;
  const read = (kind: Kind, id: string): Row | undefined => {
    const texts = textsAt(kind, id);
    return texts && rowOf(texts, where);
  };
  const log = (kind: Kind, id: string): LogEntry[] => {
    const texts = table.values(key(kind, 'log', `${id} `), key(kind, 'log', `${id} ~~`));
    return texts.map((text) => entryOfTexts(JSON.parse(text) as EntryTexts, true));
  };
  /** Returns what the entries counted. */
  const cutLog = (kind: Kind, id: string, upTo: number): number => {
    const cut = log(kind, id).filter(({ no }) => no <= upTo);
    for (const { no } of cut) table.delete(key(kind, 'log', `${id} ${padded(no)}`));
    return cut.reduce((sum, entry) => sum + entryBytes(entry), 0);
  };
  const keptOf = (kind: Kind, share: string): number =>
    Number(table.get(key(kind, 'kept', share)) ?? 0);
  const count = (kind: Kind, share: string | null, more: number): void => {
    if (share !== null) table.put(key(kind, 'kept', share), String(keptOf(kind, share) + more));
  };
  /** The places of a row in the orders. */
  const places = (kind: Kind, { id, fence, wakeAt, share, stamp }: StoredRow): string[] => {
    const listed = fence === null ? [] : [key(kind, 'list', id)];
    if (share !== null && fence === null) listed.push(key(kind, 'ended', `${share} ${id}`));
    if (share !== null && fence !== null)
      listed.push(key(kind, 'share', `${share} ${timed(stamp)} ${id}`));
    return wakeAt === null ? listed : [...listed, key(kind, 'due', `${timed(wakeAt)} ${id}`)];
  };
  const rowsAt = (
    kind: Kind,
    part: 'list' | 'due',
    after: string,
    before: string,
    limit: number,
  ): Row[] =>
    table
      .values(key(kind, part, after), key(kind, part, before), limit)
      .flatMap((id) => read(kind, id) ?? []);
  const ofShare = (kind: Kind, share: string, most?: number): string[] =>
    table.values(key(kind, 'share', `${share} `), key(kind, 'share', `${share} ~~`), most);

  const put = (write: RowWrite): boolean => {
    const { kind, id, was, row, clear, share, more } = write;
    const old = textsAt(kind, id);
    if ((old?.version ?? 0) !== was) return false;
    for (const place of old === undefined ? [] : places(kind, old)) table.delete(place);
    count(kind, share, more - (clear || row === null ? cutLog(kind, id, Infinity) : 0));
    if (row === null) table.delete(key(kind, 'row', id));
    else {
      const { version, fence, wakeAt } = row;
      const [counted, stamp] = countedIn(write);
      const texts = {
        id,
        version,
        fence,
        wakeAt,
        ...textsOf(row),
        share: counted,
        stamp: stamp ?? 0,
      };
      table.put(key(kind, 'row', id), JSON.stringify(texts));
      for (const place of places(kind, texts)) table.put(place, id);
    }
    return true;
  };
  const append = ({ kind, id, fence, entries, cut, share, bytes }: LogWrite): boolean => {
    if (textsAt(kind, id)?.fence !== fence) return false;
    const [first] = entries;
    if (first !== undefined && first.no <= (log(kind, id).at(-1)?.no ?? 0)) return false;
    for (const entry of entries)
      table.put(key(kind, 'log', `${id} ${padded(entry.no)}`), JSON.stringify(entryTexts(entry)));
    count(kind, share, bytes - (cut > 0 ? cutLog(kind, id, cut) : 0));
    return true;
  };
  const apply = (write: Write): boolean => (isRowWrite(write) ? put(write) : append(write));
  return {
    where,
    now: () => time.now(),
    write: async (writes) => table.step(() => writes.map(apply)),
    read,
    log,
    list: (kind, after, before, limit) => rowsAt(kind, 'list', after, before, limit),
    due: (kind, [at, id]: DuePlace, until, limit) =>
      rowsAt(kind, 'due', `${timed(at)} ${id}`, `${timed(until)} ~~`, limit),
    count: (kind, after, before) => rowsAt(kind, 'list', after, before, -1).length,
    countOf: (kind, share) => ofShare(kind, share).length,
    oldest: (kind, share, most) => ofShare(kind, share, most),
    endedOf: (kind, share) =>
      table.values(key(kind, 'ended', `${share} `), key(kind, 'ended', `${share} ~~`)),
    kept: (kinds, share) => kinds.map((kind) => keptOf(kind, share)),
    // Nothing is gone without a write.
    recount: (kinds, share) => kinds.map((kind) => keptOf(kind, share)),
    keptByAll: (kinds, most) => {
      const all = new Map<string, number>();
      for (const kind of kinds)
        for (const share of table.keys(key(kind, 'kept', ''), key(kind, 'kept', '~~')))
          all.set(share, (all.get(share) ?? 0) + keptOf(kind, share));
      const shares = [...all]
        .map(([share, bytes]) => ({ share, bytes }))
        .filter(({ bytes }) => bytes > 0);
      shares.sort((a, b) => b.bytes - a.bytes || (a.share < b.share ? -1 : 1));
      return {
        bytes: shares.reduce((sum, { bytes }) => sum + bytes, 0),
        shares: shares.slice(0, most),
      };
    },
  };
}

/** Messages are values too. Each instance looks for its own every 20 ms. */
function mailOn(table: Table, { deployment, time }: StoreOptions): Mailboxes {
  const timers = new Map<string, unknown>();
  const key = (part: 'box' | 'mail', rest: string): string =>
    `${JSON.stringify([deployment])} ${part} ${rest}`;
  const open = (id: string, receive: Receive): string => {
    const look = (): void => {
      for (const text of table.values(key('mail', `${id} `), key('mail', `${id} ~~`))) {
        const [no, from, message] = JSON.parse(text) as [number, ...Parameters<Receive>];
        table.delete(key('mail', `${id} ${padded(no)}`));
        receive(from, message);
      }
      if (timers.has(id)) timers.set(id, time.setTimeout(look, 20));
    };
    table.put(key('box', id), '0');
    timers.set(id, time.setTimeout(look, 20));
    return id;
  };
  const send: Mailboxes['send'] = (from, to, message) =>
    table.step(() => {
      const last = table.get(key('box', to));
      if (last === undefined) return 'suspect';
      table.put(key('box', to), String(Number(last) + 1));
      table.put(
        key('mail', `${to} ${padded(Number(last))}`),
        JSON.stringify([Number(last), from, message]),
      );
      return 'sent';
    });
  const close = (id: string): void => {
    time.clearTimeout(timers.get(id));
    timers.delete(id);
    table.delete(key('box', id));
  };
  return { open, check: () => {}, send, close, forget: close };
}

export function keyValueStore(file: string): Store {
  const open: Store['open'] = (options) => {
    const table = new Table(file);
    const mailboxes = (): Mailboxes => mailOn(table, options);
    return openView(
      { backend: backendOn(table, options), mailboxes, closed: () => table.close() },
      options,
    );
  };
  return { kind: 'key-value', durable: true, open };
}
