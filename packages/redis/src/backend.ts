/** Rows and logs in Redis. Each write is one script about the keys of its row, and all of a trip travel together. */
import {
  OVER,
  byBytes,
  entryOfHead,
  entryTexts,
  isRowWrite,
  rowOfColumns,
  textsOf,
  unreadableRow,
  type Backend,
  type DuePlace,
  type LogEntry,
  type EntryHead,
  type KeptByAll,
  type Kind,
  type LogWrite,
  type MaybePromise,
  type Row,
  type RowWrite,
  type ServerClock,
  type Write,
  type Written,
} from 'sojourn/internal';
import { replyCode } from './failures.ts';
import type { KindKeys, Orders, RowKeys } from './keys.ts';
import { APPEND, KEPT, LOG, MOST, PUT, RECOUNT } from './row-scripts.ts';
import { run, type RedisServer, type SlotKeys } from './server.ts';

/** Ids of a share, of which it asks each time whether there are such rows. */
const LOOKED_AT = 8;
/** Rows that are counted again at once. */
const COUNTED_AT_ONCE = 256;

/** The first places of one order after a place. In the order of ids, all times are 0. */
type OrderPage = (order: Orders, after: DuePlace, most: number) => Promise<readonly DuePlace[]>;

export class RedisBackend implements Backend {
  readonly where: string;
  readonly #server: RedisServer;
  readonly #clock: ServerClock;
  readonly #keys: ReadonlyMap<Kind, KindKeys>;

  constructor(server: RedisServer, clock: ServerClock, keys: ReadonlyMap<Kind, KindKeys>) {
    this.where = server.where;
    this.#server = server;
    this.#clock = clock;
    this.#keys = keys;
  }

  now(): MaybePromise<number> {
    return this.#clock.now();
  }

  async write(writes: readonly Write[]): Promise<readonly Written[]> {
    // The kernel sends nothing more before each is answered.
    const sent = await Promise.allSettled(writes.map((write) => this.#send(write)));
    return sent.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  }

  async read(kind: Kind, id: string): Promise<Row | undefined> {
    const { row } = this.keysOf(kind, id);
    const reply = await this.#server.send(row, ['HMGET', row, 'v', 'f', 'w', 'b', 'd']);
    const columns = reply as readonly (string | null)[];
    return columns[0] === null ? undefined : rowOfColumns([id, ...columns], this.where);
  }

  async log(kind: Kind, id: string, stream: string | null): Promise<LogEntry[]> {
    const { log } = this.keysOf(kind, id);
    const wanted = stream === null ? '-' : `${JSON.stringify(stream)},`;
    const texts = (await run(this.#server, LOG, [log], [wanted])) as readonly string[];
    return texts.map((text) => entryOf(text, stream));
  }

  list(kind: Kind, after: string, before: string, limit: number): Promise<Row[]> {
    const page: OrderPage = async ({ ids }, [, from], most) => {
      const command = ['ZRANGEBYLEX', ids, `(${from}`, `(${before}`, 'LIMIT', '0', String(most)];
      return ((await this.#server.send(ids, command)) as readonly string[]).map((id) => [0, id]);
    };
    const orders = this.#of(kind).orders(before);
    return this.#rows(kind, orders, [0, after], limit, page, (row) => row.fence !== null);
  }

  due(kind: Kind, after: DuePlace, until: number, limit: number): Promise<Row[]> {
    const page: OrderPage = ({ wakes }, from, most) => this.#wakes(wakes, from, until, most);
    const orders = this.#of(kind).orders();
    return this.#rows(kind, orders, after, limit, page, (row, [time]) => row.wakeAt === time);
  }

  async count(kind: Kind, after: string, before: string): Promise<number> {
    const counts = this.#of(kind)
      .orders(before)
      .map(({ ids }) => this.#server.send(ids, ['ZLEXCOUNT', ids, `(${after}`, `(${before}`]));
    return (await Promise.all(counts)).reduce((sum: number, count) => sum + Number(count), 0);
  }

  async countOf(kind: Kind, share: string): Promise<number> {
    const counts = this.#of(kind).counts.map(({ shares }) =>
      this.#server.send(shares + share, ['ZCARD', shares + share]),
    );
    return (await Promise.all(counts)).reduce((sum: number, count) => sum + Number(count), 0);
  }

  async oldest(kind: Kind, share: string, most: number): Promise<string[]> {
    const pages = this.#of(kind).counts.map(({ shares }) => {
      const key = shares + share;
      return this.#server.send(key, [
        'ZRANGEBYSCORE',
        key,
        '-inf',
        '+inf',
        'WITHSCORES',
        'LIMIT',
        '0',
        String(most),
      ]);
    });
    const found = (await Promise.all(pages)).flat() as readonly unknown[] as ReadonlyArray<
      readonly [string, number]
    >;
    const places = found.map(([id, stamp]): DuePlace => [stamp, id]).sort(byPlace);
    const ids = places.slice(0, most).map(([, id]) => id);
    // A row that was evicted, or deleted by hand, keeps its stamp and so is among the first.
    const gone = await Promise.all(
      ids.slice(0, LOOKED_AT).map((id) => this.#leaveShare(kind, id, share)),
    );
    return ids.filter((_, n) => gone[n] !== true);
  }

  /** An empty id has what all of them count. */
  async endedOf(kind: Kind, share: string): Promise<string[]> {
    const pages = this.#of(kind).counts.map(({ kept, shares }) =>
      this.#server.send(kept + share, ['ZDIFF', '2', kept + share, shares + share]),
    );
    return ((await Promise.all(pages)).flat() as readonly string[]).filter((id) => id !== '');
  }

  /** `false`: there is the row. */
  async #leaveShare(kind: Kind, id: string, share: string): Promise<boolean> {
    const { row } = this.keysOf(kind, id);
    if ((await this.#server.send(row, ['HGET', row, 'v'])) !== null) return false;
    return this.#put(this.keysOf(kind, id), { ...NO_ROW, kind, id, share });
  }

  async kept(kinds: readonly Kind[], share: string): Promise<readonly number[]> {
    // The keys of all kinds in one bucket are in one slot.
    const keys = kinds.map((kind) => this.#of(kind).counts.map(({ kept }) => kept + share));
    const buckets = (keys[0] ?? []).map((_, n) => keys.map((ofKind) => ofKind[n] as string));
    const trips = this.#server.isCluster ? buckets : [buckets.flat()];
    const replies = await Promise.all(
      trips.map((trip) => run(this.#server, KEPT, trip as unknown as SlotKeys, [])),
    );
    const numbers = replies.flat() as readonly string[];
    return kinds.map((_, kind) =>
      numbers.reduce(
        (sum, number, n) => (n % kinds.length === kind ? sum + Number(number) : sum),
        0,
      ),
    );
  }

  async recount(kinds: readonly Kind[], share: string): Promise<readonly number[]> {
    for (const kind of kinds)
      for (const { kept, most } of this.#of(kind).counts) {
        const key = kept + share;
        const ids = (await this.#server.send(key, ['ZRANGE', key, '0', '-1'])) as readonly string[];
        for (let n = 0; n < ids.length; n += COUNTED_AT_ONCE) {
          const some = ids.slice(n, n + COUNTED_AT_ONCE).filter((id) => id !== '');
          await Promise.all(
            some.map((id) => {
              const { row, log } = this.keysOf(kind, id);
              return run(this.#server, RECOUNT, [row, log, key, most], [id, share]);
            }),
          );
        }
      }
    return this.kept(kinds, share);
  }

  /** A user with much has some of it in most buckets: the first of each bucket are looked at. */
  async keptByAll(kinds: readonly Kind[], most: number): Promise<KeptByAll> {
    const keys = kinds.flatMap((kind) => this.#of(kind).counts.map((counts) => counts.most));
    const replies = await Promise.all(
      keys.map((key) => run(this.#server, MOST, [key], [String(most)])),
    );
    const found = replies as readonly unknown[] as ReadonlyArray<readonly [string, ...string[]]>;
    const shares = new Set(found.flatMap(([, ...pairs]) => pairs.filter((_, n) => n % 2 === 0)));
    const sums = await Promise.all(
      Array.from(shares, async (share) => {
        const bytes = (await this.kept(kinds, share)).reduce((sum, number) => sum + number, 0);
        return { share, bytes };
      }),
    );
    const bytes = found.reduce((sum, [all]) => sum + Number(all), 0);
    return { bytes, shares: sums.sort(byBytes).slice(0, most) };
  }

  keysOf(kind: Kind, id: string): RowKeys {
    return this.#of(kind).of(id);
  }

  #of(kind: Kind): KindKeys {
    return this.#keys.get(kind) as KindKeys;
  }

  async #send(write: Write): Promise<Written> {
    const keys = this.keysOf(write.kind, write.id);
    try {
      return isRowWrite(write) ? await this.#put(keys, write) : await this.#append(keys, write);
    } catch (error) {
      // The server has answered, and changed nothing.
      if (replyCode(error) !== undefined) return error as Error;
      throw error;
    }
  }

  async #put(
    keys: RowKeys,
    { kind, id, was, row, clear, share, bytes }: RowWrite,
  ): Promise<boolean> {
    const args = [
      id,
      String(was),
      clear ? '1' : '',
      kind.listed ? '1' : '',
      share ?? '',
      String(bytes),
    ];
    if (row !== null) {
      const { version, fence, wakeAt, value } = row;
      const { data, body } = textsOf(row);
      const length = 'fields' in value ? lengthOf(value.fields) : 0;
      const isVital = kind.vital === true || fence === null || fence === OVER;
      args.push(
        String(version),
        fence ?? '',
        wakeAt === null ? '' : String(wakeAt),
        data,
        String(length),
      );
      args.push(isVital ? '1' : '', String('stamp' in value ? value.stamp : 0));
      if (clear) args.push(body);
    }
    const named: [string, ...string[]] = [keys.row, keys.log, keys.wakes, keys.ids];
    if (share !== null) named.push(keys.shares + share, keys.kept + share, keys.most);
    return (await run(this.#server, PUT, named, args)) === 1;
  }

  async #append({ row, log, kept, most }: RowKeys, write: LogWrite): Promise<boolean> {
    const { id, fence, cut, entries, share, bytes } = write;
    const args = [fence, String(cut), id, share ?? '', String(bytes), ...entries.map(textOf)];
    const named: [string, ...string[]] = [row, log];
    if (share !== null) named.push(kept + share, most);
    return (await run(this.#server, APPEND, named, args)) === 1;
  }

  /** The first `limit` rows of several orders that are still where their order had them when it was read. */
  async #rows(
    kind: Kind,
    orders: readonly Orders[],
    after: DuePlace,
    limit: number,
    page: OrderPage,
    isThere: (row: Row, place: DuePlace) => boolean,
  ): Promise<Row[]> {
    const rows: Row[] = [];
    for (let from = after; ;) {
      const wanted = limit - rows.length;
      const pages = await Promise.all(orders.map((order) => page(order, from, wanted)));
      const places = pages.flat().sort(byPlace).slice(0, wanted);
      const found = await Promise.all(places.map((place) => this.#found(kind, place)));
      for (const [n, row] of found.entries())
        if (row !== undefined && isThere(row, places[n] as DuePlace)) rows.push(row);
      if (places.length < wanted || rows.length === limit) return rows;
      from = places.at(-1) as DuePlace;
    }
  }

  /**
   * A row that was evicted, or deleted by hand, leaves its orders. A key of another program in its place stays where it
   * is, and hides no other row.
   */
  async #found(kind: Kind, [wakeAt, id]: DuePlace): Promise<Row | undefined> {
    const row = await this.read(kind, id).catch((cause: unknown) => {
      if (replyCode(cause) !== 'WRONGTYPE') throw cause;
      return unreadableRow({ id, version: 0, fence: OVER, wakeAt }, cause);
    });
    if (row === undefined)
      await this.#put(this.keysOf(kind, id), { ...NO_ROW, kind, id, share: null });
    return row;
  }

  /** Redis begins with all places of the time of `after`. */
  async #wakes(key: string, after: DuePlace, until: number, limit: number): Promise<DuePlace[]> {
    const places: DuePlace[] = [];
    for (let offset = 0; places.length < limit; offset += limit) {
      const [time, id] = after;
      const command = ['ZRANGEBYSCORE', key, String(time), String(until), 'WITHSCORES'];
      const reply = await this.#server.send(key, [
        ...command,
        'LIMIT',
        String(offset),
        String(limit),
      ]);
      const found = reply as ReadonlyArray<readonly [id: string, at: number]>;
      for (const [one, at] of found) if (at > time || one > id) places.push([at, one]);
      if (found.length < limit) break;
    }
    return places;
  }
}

/** The write that takes a row out of all orders that is not there. */
const NO_ROW = { was: 0, row: null, clear: true, bytes: 0, more: 0 } as const;

const byPlace = ([a, first]: DuePlace, [b, second]: DuePlace): number =>
  a - b || (first < second ? -1 : 1);

const lengthOf = (fields: Readonly<Record<string, string>>): number =>
  Object.entries(fields).reduce((sum, [name, text]) => sum + name.length + text.length, 0);

function textOf(entry: LogEntry): string {
  const { no, stream, head, data, bytes } = entryTexts(entry);
  return `${no},${bytes},${JSON.stringify(stream)},${head}\n${data}`;
}

function entryOf(text: string, wanted: string | null): LogEntry {
  const end = text.indexOf('\n');
  const [no, , stream, head] = JSON.parse(`[${text.slice(0, end)}]`) as [
    number,
    number,
    string,
    EntryHead,
  ];
  return entryOfHead(no, stream, head, stream === wanted ? text.slice(end + 1) : undefined);
}
