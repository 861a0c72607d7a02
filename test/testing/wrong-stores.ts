/**
 * Stores that are wrong in one way each, on top of the memory store. The contract must refuse each of them. Without a
 * fault, `imitatedStore` is right: it imitates a store whose leases expire and whose server can be frozen.
 */
import { storeAway } from '../../src/errors.ts';
import { afterTurn } from '../../src/base/system.ts';
import { memory } from '../../src/stores/memory/index.ts';
import { isEnded } from '../../src/stores/store.ts';
import type {
  AppendRequest,
  EndedRecord,
  InstanceLease,
  InstanceMessage,
  InstanceStore,
  OpenStore,
  RecordChange,
  Records,
  Store,
  StoreOptions,
} from '../../src/stores/store.ts';
import type { TimeProvider } from '../../src/types.ts';
import type { StoreUnderTest } from '../store-contract/contract/store-kit.ts';

export type Fault =
  | 'no-time-bound'
  | 'late-writes'
  | 'never-forgets'
  | 'process-clock'
  | 'death-not-stored'
  | 'death-forgotten-with-the-clock'
  | 'expiry-not-stored'
  | 'deadlock'
  | 'large-messages-lost'
  | 'large-messages-overtaken'
  | 'large-events-cut'
  | 'fields-overwritten'
  | 'deletion-lost'
  | 'groups-by-prefix'
  | 'living-counted'
  | 'drops-any-end';

const LARGE = 1_048_576;
/** How long a call waits for a server that is frozen. */
const LIMIT_MS = 600;
const LOCK_LIMIT_MS = 100;

interface Lease {
  readonly id: string;
  readonly version: string;
  state: InstanceLease['state'];
  until: number;
  dead: boolean;
  renewals: number;
}

/** What one server holds, for all views. */
class Server {
  readonly #inner: Store = memory();
  readonly #fault: Fault | undefined;
  readonly #clock: TimeProvider;
  readonly leases = new Map<string, Lease>();
  readonly mailboxes = new Map<string, (from: string, message: InstanceMessage) => void>();
  readonly #locks = new Map<string, Promise<void>>();
  readonly #expiries = new Map<string, number>();
  /** What ended sessions take. */
  kept = 0;
  frozen = false;
  #thawed: Array<() => void> = [];

  constructor(fault: Fault | undefined, clock: TimeProvider) {
    this.#fault = fault;
    this.#clock = clock;
  }

  get now(): number {
    return this.#clock.now();
  }

  freeze(): void {
    this.frozen = true;
  }

  thaw(): void {
    this.frozen = false;
    for (const go of this.#thawed.splice(0)) go();
  }

  /** Runs a call on the server. */
  async call<T>(effect: () => T | Promise<T>): Promise<T> {
    if (!this.frozen) return effect();
    const thawed = new Promise<void>((go) => this.#thawed.push(go));
    if (this.#fault === 'no-time-bound') return thawed.then(effect);
    const late = this.#fault === 'late-writes';
    // The caller gives up, and the write arrives some time after the server continues.
    if (late) void thawed.then(() => setTimeout(() => void effect(), 300));
    return new Promise((_, reject) => {
      setTimeout(() => reject(storeAway(`no answer within ${LIMIT_MS} ms`)), LIMIT_MS);
    });
  }

  async open(options: StoreOptions): Promise<OpenStore> {
    const offMs = options.time.now() - this.now;
    // The clock of a server has a date alone.
    const { monotonic: _none, ...date } = this.#clock;
    const view = await this.#inner.open({ ...options, time: date });
    return {
      ...view,
      records: (kind) => this.#records(view.records(kind), offMs),
      instances: this.#instances(options),
      secret: (name, keepMs) => this.call(() => view.secret(name, keepMs)),
    };
  }

  #records(inner: Records, offMs: number): Records {
    const call = <T>(effect: () => T | Promise<T>): Promise<T> => this.call(effect);
    const lasts = (ms: number | null | undefined) =>
      this.#fault === 'process-clock' && typeof ms === 'number' ? ms + offMs : ms;
    const patched = <P extends { readonly expiresInMs?: number | null }>(patch: P): P =>
      patch.expiresInMs === undefined ? patch : { ...patch, expiresInMs: lasts(patch.expiresInMs) };
    return {
      create: (record, ms, dueInMs) =>
        call(() => {
          if (typeof ms === 'number') this.#expiries.set(record.id, this.now + ms);
          return inner.create(record, lasts(ms), dueInMs);
        }),
      read: (id) => call(() => this.#expiredByClock(id) ?? inner.read(id)),
      claim: (id, from, me) =>
        call(() => {
          const current = this.#expiredByClock(id);
          return current === undefined ? inner.claim(id, from, me) : { claimed: false as const, current };
        }),
      save: (id, fence, patch) =>
        call(async () => inner.save(id, fence, await this.#wrongly(inner, id, patched(patch)))),
      add: (id, field, text) => call(() => inner.add(id, field, text)),
      end: (id, from, outcome, keepMs) =>
        call(async () => {
          const answer = await inner.end(id, from, outcome, keepMs);
          if (answer === 'ended') this.kept += 5;
          return answer;
        }),
      drop: (id, endedAt) => call(async () => inner.drop(id, await this.#endedAt(inner, id, endedAt))),
      list: (limit, cursor, group) => call(() => this.#list(inner, limit, cursor, group)),
      count: (group) => call(async () => this.#counted(inner, group)),
      due: (limit, cursor) => call(() => inner.due(limit, cursor)),
      append: (request) => call(() => this.#append(inner, request)),
      replay: (id, stream, after) => call(() => inner.replay(id, stream, after)),
      trim: () =>
        call(async () => {
          await inner.trim();
          if (this.#fault !== 'never-forgets') this.kept = 0;
        }),
    };
  }

  /** A store that looks for the text of a group, without the dot that ends it. */
  async #list(records: Records, limit: number, cursor?: string, group?: string) {
    if (this.#fault !== 'groups-by-prefix' || group === undefined) return records.list(limit, cursor, group);
    const { records: all } = await records.list(1_000);
    return { records: all.filter(({ id }) => id.startsWith(group)) };
  }

  async #endedAt(records: Records, id: string, endedAt: number): Promise<number> {
    const found = this.#fault === 'drops-any-end' ? await records.read(id) : undefined;
    return found !== undefined && isEnded(found) ? found.at : endedAt;
  }

  async #counted(records: Records, group?: string): Promise<number> {
    const { length } = (await records.list(1_000, undefined, group)).records;
    return this.#fault === 'living-counted' ? length : records.count(group);
  }

  async #wrongly<P extends RecordChange>(records: Records, id: string, patch: P): Promise<P> {
    const { fields } = patch;
    if (fields === undefined) return patch;
    const set = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
    if (this.#fault === 'deletion-lost') return { ...patch, fields: set };
    if (this.#fault !== 'fields-overwritten') return patch;
    // The fields of this change are all fields from now on.
    const record = await records.read(id);
    const before = record === undefined || isEnded(record) ? {} : record.fields;
    const removed = Object.fromEntries(Object.keys(before).map((name) => [name, null]));
    return { ...patch, fields: { ...removed, ...set } };
  }

  /** The answer of a store that judges an expiry by the clock alone and stores nothing. */
  #expiredByClock(id: string): EndedRecord | undefined {
    const at = this.#expiries.get(id);
    if (this.#fault !== 'expiry-not-stored' || at === undefined || at > this.now) return undefined;
    return { id, outcome: '', at };
  }

  async #append(records: Records, request: AppendRequest) {
    if (this.#fault === 'deadlock') return this.#appendWithTwoLocks(records, request);
    if (this.#fault !== 'large-events-cut') return records.append(request);
    const { events = [] } = request;
    return records.append({ ...request, events: events.map((data) => data.slice(0, LARGE)) });
  }

  /** Locks the session, and then the session whose log is to be trimmed next. */
  async #appendWithTwoLocks(records: Records, request: AppendRequest) {
    const { id } = request;
    const n = Number(id.slice(1));
    const own = await this.#lock(id);
    await new Promise<void>((next) => afterTurn(next));
    const other = await this.#lock(`s${(n + 1) % 16}`);
    const outcome = await records.append(request);
    other();
    own();
    return outcome;
  }

  async #lock(name: string): Promise<() => void> {
    const before = this.#locks.get(name);
    let release = (): void => undefined;
    this.#locks.set(name, new Promise((resolve) => (release = resolve)));
    await before;
    return release;
  }

  #valid(lease: Lease | undefined): lease is Lease {
    if (lease === undefined || lease.dead) return false;
    if (lease.until > this.now) return true;
    if (this.#fault !== 'death-forgotten-with-the-clock' && this.#fault !== 'death-not-stored') lease.dead = true;
    return false;
  }

  #instances({ leaseMs }: StoreOptions): InstanceStore {
    const call = <T>(effect: () => T | Promise<T>): Promise<T> => this.call(effect);
    const shown = ({ id, state, version, renewals }: Lease): InstanceLease => ({
      id,
      state,
      version,
      stamp: String(renewals),
    });
    return {
      announce: (lease, receive) =>
        call(() => {
          if (this.leases.has(lease.id)) throw new Error(`${lease.id} was announced before`);
          const until = this.now + leaseMs;
          this.leases.set(lease.id, { ...lease, until, dead: false, renewals: 0 });
          this.mailboxes.set(lease.id, receive);
        }),
      renew: (id, state) =>
        call(async () => {
          const lease = this.leases.get(id);
          if (!this.#valid(lease)) return false;
          if (this.#fault === 'death-not-stored') {
            // The renewal has judged the lease, and is stored later.
            await new Promise((stored) => setTimeout(stored, LOCK_LIMIT_MS));
            if (lease.dead) return false;
          }
          Object.assign(lease, { state, until: this.now + leaseMs, renewals: lease.renewals + 1 });
          return true;
        }),
      read: (id) =>
        call(() => {
          const lease = this.leases.get(id);
          return this.#valid(lease) ? shown(lease) : undefined;
        }),
      list: () => call(() => [...this.leases.values()].filter((lease) => this.#valid(lease)).map(shown)),
      send: (from, to, message) =>
        call(() => {
          const receive = this.mailboxes.get(to);
          if (receive === undefined || !this.#valid(this.leases.get(to))) return 'suspect';
          const text = JSON.stringify(message);
          const deliver = (): void => receive(from, JSON.parse(text) as InstanceMessage);
          const isLarge = text.length > LARGE;
          if (isLarge && this.#fault === 'large-messages-lost') return 'sent';
          if (isLarge && this.#fault === 'large-messages-overtaken') setTimeout(deliver, LOCK_LIMIT_MS);
          else afterTurn(deliver);
          return 'sent';
        }),
      bury: ({ id, state, stamp }) =>
        call(() => {
          const lease = this.leases.get(id);
          if (!this.#valid(lease) || lease.state !== state) return false;
          if (stamp !== undefined && stamp !== String(lease.renewals)) return false;
          return (lease.dead = true);
        }),
      leave: (id) =>
        call(() => {
          const lease = this.leases.get(id);
          if (lease !== undefined) lease.dead = true;
          this.mailboxes.delete(id);
        }),
      publish: (from, message) =>
        call(() => {
          for (const [id, receive] of this.mailboxes) {
            if (id !== from) afterTurn(() => receive(from, structuredClone(message)));
          }
        }),
    };
  }
}

/** The store with this fault, or without one, for `createStoreKit`. */
export function imitatedStore(fault: Fault | undefined, { time, pass }: Clock): StoreUnderTest {
  const server = new Server(fault, time);
  const store: Store = {
    kind: 'imitated',
    durable: true,
    inProcess: false,
    open: (options) => server.open(options),
  };
  return {
    connect: () => store,
    time,
    pass,
    outage: { begin: () => server.freeze(), end: () => server.thaw() },
    entries: async () => server.kept,
  };
}

type Clock = Pick<StoreUnderTest, 'pass'> & { readonly time: TimeProvider };
