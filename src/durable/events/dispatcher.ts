/**
 * The one instance of a deployment that gives events their numbers and delivers them. It owns the record
 * `dispatcher.0`; when it dies, another instance that looks at the record claims it. A round:
 *
 *     news about subscriptions ─▶ index       before the events of the same round: a client that subscribed before an
 *                                             event was emitted gets it
 *     events ─▶ number ─▶ record of the event ─▶ head of `dispatcher.0` ─▶ callbacks that want it
 *                                                 (fence)                   └ all took it, or read it later ─▶ emit ends
 *
 * After a crash the next owner does again what was not finished: an event may arrive twice, with one `eventId`. An
 * instance that was frozen passes no fence when it wakes. So it ends no emit, and polls never see its numbers.
 */
import { afterTurn, every } from '../../base/system.ts';
import { pagesOf } from '../../base/pages.ts';
import type { ResolvedEvents } from '../../base/options/events-options.ts';
import {
  type Fence,
  isEnded,
  type NewRecord,
  RECORD_VERSION,
  type StoredRecord,
  UNOWNED,
} from '../../stores/store.ts';
import type { Deliveries } from './deliveries.ts';
import { EmitPages } from './emit-pages.ts';
import {
  DISPATCHER,
  eventRecordId,
  type EventStore,
  type EventText,
  groupOfName,
  isNews,
  isReadable,
  numberOf,
  numbersOf,
  ownerFields,
  OWNERS,
  storedUs,
} from './event-store.ts';
import { SubscriptionIndex } from './subscription-index.ts';

/** How often the owner looks for what transactions have emitted. */
const LOOK_MS = 250;
/** How often other instances look whether it lives. */
const FOLLOW_MS = 1_000;
const SWEEP_MS = 10_000;
const PAGE = 1_000;
const KNOWN_IDS = 20_000;
export const EVENT_BYTES = 262_144;

const NEW_DISPATCHER: NewRecord = {
  v: RECORD_VERSION,
  id: DISPATCHER,
  ...UNOWNED,
  user: null,
  head: '0',
  body: '',
  fields: {},
  createdAt: 0,
  stamp: 0,
};

const keyOf = ({ n, i }: EventText): string => `${n} ${i}`;

interface Numbered {
  readonly record: StoredRecord;
  readonly event: EventText;
  readonly no: number;
}

export class Dispatcher {
  readonly index: SubscriptionIndex;
  readonly #store: EventStore;
  readonly #events: ResolvedEvents;
  readonly #pages: EmitPages;
  readonly #deliveries: Deliveries;
  readonly #stop: () => void;
  /** Events on their way to callbacks, by their emits, in the order of their numbers. */
  readonly #inWork = new Map<string, Numbered>();
  /** Emits of types that this build does not know. */
  readonly #unknown = new Set<string>();
  /** Events that got a number here, by name and id, to recognise an event that is emitted twice. */
  readonly #known = new Map<string, Set<string>>();
  /** The numbers of those that the owner before may not have delivered. */
  readonly #earlier = new Map<string, number>();
  #fence: Fence | undefined;
  #tail = 0;
  #round: Promise<void> | undefined;
  #isAgain = false;
  #isStopped = false;
  #sweptAt = 0;
  #followedAt = -Infinity;
  /** The instance that dispatches, as this one knows it. */
  #owner: string | null = null;

  constructor(store: EventStore, events: ResolvedEvents, deliveries: Deliveries) {
    this.#store = store;
    this.#events = events;
    this.#pages = new EmitPages(store);
    this.#deliveries = deliveries;
    this.index = new SubscriptionIndex(deliveries, events);
    const { timeProvider: time } = store.options;
    this.#stop = every(time, LOOK_MS, () => {
      if (this.isOwner || time.monotonic() - this.#followedAt >= FOLLOW_MS) this.look();
    });
  }

  get isOwner(): boolean {
    return this.#fence !== undefined;
  }

  /** An event was emitted, or a subscription has changed. */
  look(): void {
    if (this.#isStopped) return;
    this.#isAgain = true;
    if (this.#round !== undefined) return;
    this.#isAgain = false;
    this.#round = this.#run()
      .catch((err: unknown) => {
        // What it has begun is read again.
        this.#leave();
        this.#store.logger.warn({ err }, 'Events cannot be dispatched; the next try is in 1 s');
      })
      .finally(() => {
        this.#round = undefined;
        if (this.#isAgain) afterTurn(() => this.look());
      });
  }

  /** Wakes the instance that dispatches. */
  ring(): void {
    const owner = this.#owner;
    if (owner === null || owner === this.#store.lease.owner) return this.look();
    const wake = () => this.#store.notify(owner, { kind: 'look', of: 'events', id: DISPATCHER });
    void this.#store.send(wake, () => {});
  }

  /** Resolves when no POST is under way any more, and another instance may dispatch. */
  async close(): Promise<void> {
    this.#isStopped = true;
    this.#store.close();
    this.#stop();
    await this.#round;
    const fence = this.#fence;
    await this.index.close();
    if (fence !== undefined)
      await this.#store.send(
        () => this.#store.events.save(DISPATCHER, fence, { release: true }),
        (err) => this.#store.logger.debug({ err }, 'The dispatcher of events was not released'),
      );
    await this.#store.stop();
  }

  // ——— who dispatches ———

  async #run(): Promise<void> {
    if (!this.#store.lease.valid || !(await this.#isMine())) return;
    while (await this.#page());
    const now = this.#store.options.timeProvider.monotonic();
    if (now - this.#sweptAt <= SWEEP_MS) return;
    this.#sweptAt = now;
    await this.#sweep();
  }

  async #isMine(): Promise<boolean> {
    const { events, lease } = this.#store;
    const me = lease.owner;
    if (this.#fence?.owner === me) return true;
    this.#leave();
    this.#followedAt = this.#store.options.timeProvider.monotonic();
    if (await this.#store.directory.isTaken({ owner: this.#owner })) return false;
    let found = await events.read(DISPATCHER);
    if (found === undefined || isEnded(found)) {
      await events.create(NEW_DISPATCHER);
      found = await events.read(DISPATCHER);
      if (found === undefined || isEnded(found)) return false;
    }
    this.#owner = found.owner;
    if (await this.#store.directory.isTaken(found)) return false;
    const claim = await events.claim(DISPATCHER, found, me);
    if (!claim.claimed) return false;
    this.#owner = me;
    const fence = { epoch: claim.record.epoch, owner: me };
    await this.#takeOver(claim.record);
    this.#fence = fence;
    return true;
  }

  #leave(): void {
    this.#fence = undefined;
    this.#inWork.clear();
    this.#unknown.clear();
    this.#known.clear();
    this.#earlier.clear();
    this.index.clear();
  }

  async #takeOver(found: StoredRecord): Promise<void> {
    const { events, emits, subscriptions } = this.#store;
    const { epoch } = found;
    const { tail, owners } = numbersOf(found);
    const numbers = { tail, owners: [[tail, epoch] as const, ...owners] };
    this.#deliveries.begin(epoch, numbers);
    this.#tail = tail;
    let oldest = tail;
    for await (const { records } of pagesOf((cursor) => emits.list(PAGE, cursor)))
      for (const record of records)
        if (!isNews(record)) oldest = Math.min(oldest, storedUs(record) - 1);
    for (const name of this.#events.types.keys()) {
      const first = eventRecordId(name, Math.max(0, oldest));
      const group = groupOfName(name);
      const read = (cursor = first) => events.list(PAGE, cursor, group);
      for await (const { records } of pagesOf(read))
        for (const record of records) {
          const { id, body, stamp } = record;
          const no = numberOf(id);
          this.#tail = Math.max(this.#tail, no);
          if (isReadable(numbers, record))
            this.#earlier.set(keyOf(JSON.parse(body) as EventText), no);
          // An earlier owner had begun with it: no client has seen this number, and its emit is there.
          else if (stamp < epoch) await events.end(id, UNOWNED, '', 0);
        }
    }
    for await (const { records } of pagesOf((cursor) => subscriptions.list(PAGE, cursor)))
      for (const record of records) this.index.set(record);
  }

  /** `false`: it has a number already. */
  #isNew({ n: name, i: id }: EventText): boolean {
    const known = this.#known.get(name) ?? new Set<string>();
    if (known.has(id)) return false;
    this.#known.set(name, known.add(id));
    if (known.size > KNOWN_IDS) for (const first of known) return known.delete(first);
    return true;
  }

  // ——— a round ———

  /** `true`: there may be more. */
  async #page(): Promise<boolean> {
    const { news, events, isWhole } = await this.#pages.read(
      (id) => this.#inWork.has(id) || this.#unknown.has(id),
    );
    await Promise.all([...new Set(news.map(({ body }) => body))].map((id) => this.#load(id)));
    const { numbered, dropped } = await this.#number(events);
    const heard = [...news.map(({ id }) => id), ...dropped];
    if (heard.length === 0 && numbered.length === 0) return !isWhole;
    // Nothing is ended before this: an instance that was frozen would end what the next owner has not read.
    const fence = this.#fence;
    if (fence === undefined || !(await this.keepsTail(fence))) return false;
    this.#deliveries.numbers = { ...this.#deliveries.numbers, tail: this.#tail };
    await Promise.all(heard.map((id) => this.#end(id)));
    for (const each of numbered) this.#inWork.set(each.record.id, each);
    for (const each of numbered)
      void this.#deliver(each, fence).catch(() => this.#inWork.delete(each.record.id));
    return !isWhole;
  }

  /**
   * A new subscription gets what is on its way, too. If this instance dies, the next one delivers that again, and it
   * would come behind later events.
   */
  async #load(id: string): Promise<void> {
    const made = await this.index.load(id);
    for (const { no, event, record } of made === undefined ? [] : this.#inWork.values())
      if (made?.wants(no, event, record.user) === true) void made.take(no, event).catch(() => {});
  }

  /** `false`: another instance has taken over. */
  async keepsTail(fence: Fence): Promise<boolean> {
    const fields = ownerFields(this.#deliveries.numbers);
    const change = { head: String(this.#tail), fields };
    const save = () => this.#store.events.save(DISPATCHER, fence, change);
    const saved = await this.#store.lasting(save);
    if (saved === 'fenced') this.#leave();
    return saved !== 'fenced';
  }

  /** In the order of their numbers. Each has a record that can be polled once the tail is stored. */
  async #number(records: readonly StoredRecord[]): Promise<{
    readonly numbered: readonly Numbered[];
    readonly dropped: readonly string[];
  }> {
    const numbered: Numbered[] = [];
    const dropped: string[] = [];
    const created: Array<Promise<unknown>> = [];
    const users = new Set(records.flatMap(({ user }) => user ?? []));
    const forgotten = users.size > 0 ? await this.#store.forgotten(users) : users;
    for (const record of records) {
      const event = JSON.parse(record.body) as EventText;
      const why =
        record.user !== null && forgotten.has(record.user)
          ? 'its user was deleted'
          : this.#refuses(event, record);
      // An instance of another build may know it.
      if (why === 'unknown') this.#unknown.add(record.id);
      if (why === 'unknown') continue;
      if (why !== undefined) {
        this.#store.logger.warn({ event: event.n, why }, 'An event that was emitted is dropped');
        dropped.push(record.id);
        continue;
      }
      // Emitted twice: the emit that was first waits for the callbacks.
      if (!this.#isNew(event)) {
        dropped.push(record.id);
        continue;
      }
      const earlier = this.#earlier.get(keyOf(event));
      const no = earlier ?? this.#nextNumber(storedUs(record));
      numbered.push({ record, event, no });
      if (earlier !== undefined) continue;
      this.#store.options.notices.emit({ kind: 'eventDispatched', event: event.n });
      created.push(this.#create(record, event, no));
    }
    await Promise.all(created);
    return { numbered: numbered.sort((a, b) => a.no - b.no), dropped };
  }

  #refuses(event: EventText, { body }: StoredRecord): string | undefined {
    const type = this.#events.types.get(event.n);
    if (type === undefined) return 'unknown';
    if (Buffer.byteLength(body) > EVENT_BYTES) return `it is larger than ${EVENT_BYTES} bytes`;
    return type.checkData(event.d);
  }

  get #epoch(): number {
    return this.#fence?.epoch ?? 0;
  }

  /** Those of successive owners differ in their remainder, so a late write of one hides no event of another. */
  #nextNumber(us: number): number {
    const next = Math.ceil(Math.max(this.#tail + 1, us) / OWNERS) * OWNERS;
    this.#tail = next + (this.#epoch % OWNERS);
    return this.#tail;
  }

  #create(record: StoredRecord, { n: name }: EventText, no: number): Promise<unknown> {
    const keepMs = this.#deliveries.keptMs(this.#events.types.get(name)?.keepMs ?? 0);
    const made = this.#store.eventRecord(record, name, no, this.#epoch);
    return this.#store.lasting(() => this.#store.events.create(made, keepMs));
  }

  async #deliver({ record, event, no }: Numbered, fence: Fence): Promise<void> {
    const taken: Array<Promise<void>> = [];
    for (const one of this.index.wanting(no, event, record.user)) taken.push(one.take(no, event));
    await Promise.all(taken);
    if (this.#fence !== fence) return;
    await this.#end(record.id);
    this.#inWork.delete(record.id);
  }

  #end(id: string): Promise<unknown> {
    const { emits } = this.#store;
    const end = () => this.#store.lasting(() => emits.end(id, UNOWNED, '', 0));
    return this.#store.send(end, (err) =>
      this.#store.logger.debug({ err }, 'An event that was delivered may be delivered again'),
    );
  }

  /** Events and emits that were kept for long enough, and subscriptions without a refresh. */
  async #sweep(): Promise<void> {
    const { events, subscriptions, emits } = this.#store;
    for (const records of [events, subscriptions, emits])
      for await (const { records: due } of pagesOf((cursor) =>
        this.#store.lasting(() => records.due(PAGE, cursor)),
      )) {
        const expired = due.filter((record) => record.expired);
        await Promise.all(expired.map(async (seen) => records.end(seen.id, seen, '', 0)));
        if (records === subscriptions) for (const { id } of expired) this.index.drop(id);
      }
  }
}
