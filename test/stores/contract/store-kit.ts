/** A case of a contract above views of a store, and what it gets: views, the clock of the store, and records. */
import assert from 'node:assert/strict';
import { base64url, systemRandom, systemTime } from '../../../src/base/system.ts';
import type { TimeProvider } from '../../../src/base/types.ts';
import {
  type AppendRequest,
  type ClaimOutcome,
  type EndedRecord,
  type Fence,
  type InstanceMessage,
  isEnded,
  type Ownership,
  type Store,
  type StoredRecord,
  type WriteOutcome,
} from '../../../src/stores/store.ts';
import { plainRecord } from './plain-record.ts';
import { openView, type View, type ViewSettings } from './view.ts';

export interface StoreCase {
  readonly name: string;
  run(kit: StoreKit): Promise<void>;
}

export const test = (name: string, run: StoreCase['run']): StoreCase => ({ name, run });

/** A time that a case lets pass, and more than that. */
export const SHORT_MS = 600;
export const PAST_SHORT_MS = 800;

/** What the test of a store provides. */
export interface StoreUnderTest {
  /**
   * A store object on the same data, as another process would have it; called for each view that a case opens. The
   * memory store always returns one object.
   */
  connect(): Store | Promise<Store>;
  /** Passed to the store; fake for a store that uses the clock of the process. */
  readonly time?: TimeProvider;
  /** The clock of the store, where the test moves it and it is not `time`. */
  now?(): number;
  /** Lets `ms` of the store's clock pass; a negative time sets it back. */
  pass?(ms: number): Promise<void>;
  /** How many rows and entries the store holds, of all deployments together. */
  entries?(): number;
}

export interface ViewOptions extends Partial<
  Omit<ViewSettings, 'deployment' | 'time' | 'random' | 'logger'>
> {
  /** Views of one deployment share everything; default `'a'`. */
  readonly deployment?: string;
}

export interface StoreKit {
  /** Opens one more view, as another process would. Open every view of a deployment with the same options. */
  open(options?: ViewOptions): Promise<View>;
  /** Opens a view and announces an instance with this id. */
  openAs(instance: string, options?: ViewOptions): Promise<View>;
  /** Opens a view and creates these records; an id means `recordOf(id)`. */
  openWith(records: ReadonlyArray<string | StoredRecord>, options?: ViewOptions): Promise<View>;
  /** Another view comes second. */
  openTwoWith(records: ReadonlyArray<string | StoredRecord>): Promise<[View, View]>;
  /** The store's clock, as far as this process knows it. */
  now(): number;
  pass(ms: number): Promise<void>;
  entries(): number;
  /** Closes all views. */
  close(): Promise<void>;
}

/** What a view is opened with, but for the name of its deployment. */
export const VIEW_DEFAULTS: Omit<ViewSettings, 'deployment'> = {
  time: systemTime,
  random: systemRandom,
  logger: { debug() {}, info() {}, warn() {}, error() {}, fatal() {} },
  leaseMs: 30_000,
  keepMs: 600_000,
  log: { maxAgeMs: 600_000, events: 1_000, bytes: 1_048_576 },
  eventLogBytes: 268_435_456,
  tombstones: 100_000,
};

function missing(name: keyof StoreUnderTest): () => never {
  return () => assert.fail(`this case needs ${name} of the store under test`);
}

/** A kit for one case. Its deployments have random names, so that cases can share a server. */
export function createStoreKit(given: StoreUnderTest): StoreKit {
  const { connect, time = systemTime, now = () => time.now() } = given;
  const pass = given.pass ?? missing('pass');
  const entries = given.entries ?? missing('entries');
  const prefix = `contract-${base64url(systemRandom(9))}-`;
  const views: View[] = [];
  return {
    async open({ deployment = 'a', ...options } = {}) {
      const store = await connect();
      const view = await openView(store, {
        ...VIEW_DEFAULTS,
        deployment: `${prefix}${deployment}`,
        time,
        ...options,
      });
      views.push(view);
      return view;
    },
    async openAs(instance, options) {
      const view = await this.open(options);
      await announce(view, instance);
      return view;
    },
    async openWith(records, options) {
      const view = await this.open(options);
      for (const one of records)
        await view.records.create(typeof one === 'string' ? recordOf(one) : one);
      return view;
    },
    async openTwoWith(records) {
      return [await this.openWith(records), await this.open()];
    },
    now,
    pass,
    entries,
    async close() {
      for (const view of views.splice(0)) await view.close();
    },
  };
}

/** Dead until announced. */
export const ME = 'instance-me';
export const OTHER = 'instance-other';

export const FENCE: Fence = { epoch: 1, owner: ME };
/** After one claim of the owner itself. */
export const ANEW: Fence = { epoch: 2, owner: ME };
/** What a caller sees in a new record that has no owner. */
export const OWNERLESS: Ownership = { epoch: 1, owner: null };

/** A record at epoch 1, owned by {@link ME}, without an expiry; every other member has a value. */
export function recordOf(id: string, more: Partial<StoredRecord> = {}): StoredRecord {
  const owner = { epoch: 1, owner: ME };
  return plainRecord(id, owner, {
    user: 'https://issuer.example|ada',
    head: '2025-11-25 i warning',
    body: '{"title":"Größe 尺寸 🧪","_meta":{"com.example/any":[1,"two",null]}}',
    fields: { counter: '1', 'name with "quotes"': '{"deep":[true]}' },
    createdAt: 1_767_225_600_000,
    stamp: 1_767_225_601_000,
    ...more,
  });
}

/** Marks, streams and listed records have no order. */
export function sortedBy<Key extends string, T extends Readonly<Record<Key, string>>>(
  key: Key,
  items: readonly T[],
): T[] {
  return [...items].sort((a, b) => (a[key] < b[key] ? -1 : 1));
}

export async function readLiving(view: View, id: string): Promise<StoredRecord> {
  const record = await view.records.read(id);
  assert.ok(record !== undefined && !isEnded(record), `${id} lives`);
  return record;
}

export async function readEnded(view: View, id: string): Promise<EndedRecord> {
  const value = await view.records.read(id);
  assert.ok(value !== undefined && isEnded(value), `${id} has not ended`);
  return value;
}

export function claimed(outcome: ClaimOutcome): Extract<ClaimOutcome, { claimed: true }> {
  assert.ok(outcome.claimed, 'the claim was refused');
  return outcome;
}

/** Appends to session `s` as its first owner. */
export async function append(
  { records }: View,
  stream: string,
  from: number,
  events: readonly string[],
  more: Partial<AppendRequest> = {},
): Promise<WriteOutcome> {
  return records.append({ id: 's', fence: FENCE, stream, from, events, ...more });
}

/** What an instance has received, and how often messages to it may have been lost. */
export interface Inbox {
  readonly from: string[];
  readonly messages: InstanceMessage[];
  lost: number;
}

/** Announces an instance with this id. */
export async function announce(view: View, id: string): Promise<Inbox> {
  const inbox: Inbox = { from: [], messages: [], lost: 0 };
  await view.instances.announce(
    { id, state: 'serving', version: '1.0.0' },
    (from, message) => {
      inbox.from.push(from);
      inbox.messages.push(message);
    },
    () => (inbox.lost += 1),
  );
  return inbox;
}
