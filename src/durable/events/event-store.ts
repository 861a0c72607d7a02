/**
 * The records of events, in three kinds.
 *
 *     emits          what was emitted and has no number yet, or waits for callbacks, and news about subscriptions.
 *                    `create` alone makes one, so a transaction of the application can
 *     events         those with a number, in its order: `<group of the name>.<number>`. Polls, and callbacks that are
 *                    behind, read them
 *     subscriptions  those with a callback: `<group of the user>.<digest>`
 *
 * The record `dispatcher.0` among the events has as owner the instance that gives numbers and delivers. Its head is
 * the last number of which all earlier ones are stored, too.
 */
import { digestText } from '../../base/digest.ts';
import type { EventData, SentEvent } from '../../base/options/events-options.ts';
import { base64url, systemRandom } from '../../base/system.ts';
import { groupOf, keepUnlessForgotten } from '../../session/record/forgotten-users.ts';
import {
  type FoundRecord,
  isEnded,
  type MaybePromise,
  type NewRecord,
  RECORD_VERSION,
  type Records,
  type StoredRecord,
  UNOWNED,
} from '../../stores/store.ts';
import { OwnedRecords, type OwnedParts } from '../records/owned-records.ts';

export const DISPATCHER = 'dispatcher.0';
const GROUP_LENGTH = 16;
const NUMBER_LENGTH = 16;
/** The first characters of the ids of emits. News sort before events. */
const NEWS = '0.';
const EVENT = '1.';
/** After the id of every piece of news, and before that of every event. */
export const AFTER_NEWS = '1';
/** How long an event waits for an instance that serves. */
export const WAITS_MS = 604_800_000;
const US_IN_MS = 1_000;

export const groupOfName = (name: string): string =>
  digestText(JSON.stringify(['event', name])).slice(0, GROUP_LENGTH);

/** The id of the event with this number, and the cursor of the list that follows it. */
export const eventRecordId = (name: string, no: number): string =>
  `${groupOfName(name)}.${String(no).padStart(NUMBER_LENGTH, '0')}`;
export const numberOf = (id: string): number => Number(id.slice(id.indexOf('.') + 1));

/** What is stored of an event, before and after it has a number. Every event has these names, so they are short. */
export interface EventText {
  readonly n: string;
  readonly d: EventData;
  readonly i: string;
  readonly t: string;
}

export const sentEvent = ({ n, d, i, t }: EventText): SentEvent => ({
  eventId: i,
  name: n,
  timestamp: t,
  data: d,
});

/** When an emit was stored, in µs by the clock of the store. */
export const storedUs = ({ expiresAt }: StoredRecord): number =>
  Math.max(0, (expiresAt ?? 0) - WAITS_MS) * US_IN_MS;

/** What `dispatcher.0` says of the numbers of events. */
export interface Numbers {
  /** The last one of which all earlier events are stored. */
  readonly tail: number;
  /** After which number the events of a dispatcher begin, and its epoch; the newest first. */
  readonly owners: ReadonlyArray<readonly [after: number, epoch: number]>;
}

/** How many dispatchers are remembered. */
export const OWNERS = 64;
const OWNER = 'o';

export function numbersOf(found: FoundRecord): Numbers {
  if (found === undefined || isEnded(found)) return { tail: 0, owners: [] };
  const owners = Object.entries(found.fields).map(
    ([name, after]) => [Number(after), Number(name.slice(OWNER.length))] as const,
  );
  return { tail: Number(found.head), owners: owners.sort((a, b) => b[1] - a[1]) };
}

/** Remembers another dispatcher, and forgets the oldest ones. */
export function ownerFields({ owners }: Numbers): Record<string, string | null> {
  const kept = owners.slice(0, 1).map(([after, epoch]) => [OWNER + epoch, String(after)] as const);
  const lost = owners.slice(OWNERS).map(([, epoch]) => [OWNER + epoch, null] as const);
  return Object.fromEntries([...kept, ...lost]);
}

/**
 * Whether a record is an event that may be read. A dispatcher that was frozen may store numbers when another one has
 * given later ones.
 */
export function isReadable({ tail, owners }: Numbers, { id, stamp }: StoredRecord): boolean {
  const no = numberOf(id);
  const [, epoch = stamp] = owners.find(([after]) => after < no) ?? [];
  return no <= tail && epoch === stamp;
}

/** `us`: when it was emitted, in µs since 1970. */
const emitId = (prefix: string, us: number, tag: string): string =>
  `${prefix}${String(Math.floor(us)).padStart(NUMBER_LENGTH, '0')}.${tag}`;

/** The emits with one tag are in the order of their ids. */
export const tagOf = ({ id }: StoredRecord): string => id.slice(id.lastIndexOf('.') + 1);

export const isNews = ({ id }: StoredRecord): boolean => id.startsWith(NEWS);

const PLAIN = { v: RECORD_VERSION, ...UNOWNED, user: null, head: '', fields: {}, stamp: 0 };

export class EventStore extends OwnedRecords {
  readonly notify: OwnedParts['instance']['notify'];
  readonly directory: OwnedParts['directory'];
  /** The end of the ids of this instance. */
  readonly #tag: string;
  #last = 0;
  #isClosing = false;

  constructor(given: OwnedParts) {
    super('events', given);
    this.#tag = base64url(given.random(6));
    this.directory = given.directory;
    this.notify = (...message) => given.instance.notify(...message);
  }

  get options(): OwnedParts['options'] {
    return this.given.options;
  }

  get random(): OwnedParts['random'] {
    return this.given.random;
  }

  get emits(): Records {
    return this.given.store.emits;
  }

  get events(): Records {
    return this.given.store.events;
  }

  get subscriptions(): Records {
    return this.given.store.subscriptions;
  }

  /** Repeats `work` while the store is away, until this endpoint closes. */
  lasting<T>(work: () => MaybePromise<T>): Promise<T> {
    return this.reach(work, () => this.#isClosing, Infinity);
  }

  close(): void {
    this.#isClosing = true;
  }

  get #now(): number {
    return this.given.options.timeProvider.now();
  }

  /** Ids with one tag rise with the calls. */
  #emitId(prefix: string, tag = this.#tag): string {
    this.#last = Math.max(this.#now * US_IN_MS, this.#last + 1);
    return emitId(prefix, this.#last, tag);
  }

  /** `isLater`: a transaction stores it, and other events may overtake it. */
  emitRecord(event: EventText, user: string | null, isLater: boolean): NewRecord {
    const id = this.#emitId(EVENT, isLater ? base64url(this.given.random(6)) : this.#tag);
    return { ...PLAIN, id, user, body: JSON.stringify(event), createdAt: this.#now };
  }

  /** Resolves when it is stored. Throws `USER_FORGOTTEN`. */
  async emit(record: NewRecord): Promise<void> {
    await this.reach(() => this.emits.create(record, WAITS_MS));
    if (record.user !== null)
      await this.reach(() => keepUnlessForgotten(this.given.store, this.emits, record));
  }

  /** The dispatcher reads this subscription before what is emitted from now on. */
  async tellOf(subscription: string): Promise<void> {
    const record = { ...PLAIN, id: this.#emitId(NEWS), body: subscription, createdAt: this.#now };
    await this.reach(() => this.emits.create(record, WAITS_MS));
  }

  /** A row that can be polled. `epoch`: of its dispatcher. */
  eventRecord(emit: StoredRecord, name: string, no: number, epoch: number): NewRecord {
    const { body, user, createdAt } = emit;
    return { ...PLAIN, id: eventRecordId(name, no), user, body, createdAt, stamp: epoch };
  }

  async numbers(): Promise<Numbers> {
    return numbersOf(await this.reach(() => this.events.read(DISPATCHER)));
  }

  /** Those of these users that are forgotten. */
  async forgotten(users: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const gone = new Set<string>();
    const look = async (user: string): Promise<void> => {
      const state = await this.reach(() => this.given.store.states.read(groupOf(user)));
      if (state !== undefined && isEnded(state) && state.outcome !== '') gone.add(user);
    };
    await Promise.all([...users].map(look));
    return gone;
  }

  /** Throws `USER_FORGOTTEN` where the user of a record that was created is forgotten. */
  async keepSubscription(record: NewRecord): Promise<void> {
    await this.reach(() => keepUnlessForgotten(this.given.store, this.subscriptions, record));
  }
}

/** For a command, which is no instance: the dispatcher reads this subscription in its next round. */
export async function tellDispatcher(
  emits: Records,
  subscription: string,
  now: number,
): Promise<void> {
  const tag = base64url(systemRandom(6));
  const id = emitId(NEWS, now * US_IN_MS, tag);
  await emits.create({ ...PLAIN, id, body: subscription, createdAt: now }, WAITS_MS);
}

/** Members in the order of their names: equal values have one text. */
const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    part instanceof Object && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

/** The same for the same user, callback, name and arguments. */
export function subscriptionId(user: string, url: string, name: string, args: EventData): string {
  const digest = digestText(canonicalJson([user, url, name, args])).slice(0, 22);
  return `${groupOf(user)}.${digest}`;
}

/** The id that clients and callbacks see. */
export const shownId = (record: string): string => `sub_${record.slice(record.indexOf('.') + 1)}`;
