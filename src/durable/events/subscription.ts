/**
 * What the dispatcher sends to one callback: one event after the other, in the order of their
 * numbers.
 *
 *     live ──a try fails, or an event waits for a second──▶ behind ──everything is taken──▶ live
 *
 * A live subscription gets events as they come, and the emit of an event waits until it is taken:
 * no write. Where a subscription is behind, its head is the number up to which its callback has
 * taken everything. It reads the later events from their records, as a poll does. So a callback
 * that is down delays nothing of others, a crash loses nothing, and a subscription with a cursor
 * begins behind.
 *
 * Each dispatcher writes heads with its epoch as their stamp. A dispatcher that was frozen writes
 * none over those of the next one.
 */
import type { PostFailure } from '../../base/observe/step-notices.ts';
import type { EventType } from '../../base/options/events-options.ts';
import { isEnded, type StoredRecord, UNOWNED } from '../../stores/store.ts';
import { type Deliveries, SUSPENDED_AFTER } from './deliveries.ts';
import {
  eventRecordId,
  type EventText,
  groupOfName,
  isReadable,
  numberOf,
  sentEvent,
  shownId,
} from './event-store.ts';
import { eventMessage, gapMessage, terminated, type WebhookMessage } from './event-wire.ts';
import {
  bodyOf,
  FAILURE,
  failureText,
  OLD_SECRET,
  SECRET,
  secretsOf,
} from './subscription-record.ts';

/** Tries of one event that a callback refuses with 4xx. */
const TRIES = 8;
const ALLOWED_MS = 60_000;
/** How long an event may wait for a live callback. */
const SOON_MS = 1_000;
/** How often the head of a subscription that is behind is stored while it catches up. */
const STORED_MS = 250;
const PAGE = 100;
const US_IN_MS = 1_000;

export type SubscriptionState = 'live' | 'behind' | 'suspended';

export const cursorOf = (no: number): string => `e${no.toString(36)}`;
/** The head of a subscription that is behind; `''`: it is live. */
export const behindHead = (no: number): string => `b${no}`;
const behindOf = (head: string): number | undefined =>
  head.startsWith('b') ? Number(head.slice(1)) : undefined;

interface WaitingEvent {
  readonly no: number;
  readonly event: EventText;
  /** Since when, by the monotonic clock. */
  readonly at: number;
  settle(): void;
}

export class Subscription {
  readonly record: string;
  readonly user: string;
  readonly type: EventType;
  readonly args: Readonly<Record<string, unknown>>;
  readonly #of: Deliveries;
  readonly #url: string;
  /** Events up to this number happened before it. */
  readonly #after: number;
  #secret: string;
  #oldSecret: string | undefined;
  /** The head, the failure and the stamp that the store has. */
  #head: string;
  #shown: string | undefined;
  #stamp: number;
  /** Everything up to this number was taken; `undefined`: it is live. */
  #behind: number | undefined;
  /** What a live one has not taken. `undefined` most of the time: there are many subscriptions. */
  #queue: WaitingEvent[] | undefined;
  /** An event came since the last page that was read while behind. */
  #hasMore = true;
  #saving: Promise<void> | undefined;
  #savedAt = 0;
  #running: Promise<void> | undefined;
  #isWatched = false;
  #pausedUntil = 0;
  #tries = 0;
  #failure: PostFailure | undefined;
  /** In ms since 1970. */
  #failedSince = 0;
  #allowedUntil = 0;
  #state: 'serving' | 'stopping' | 'over' = 'serving';

  constructor(stored: StoredRecord, type: EventType, user: string, of: Deliveries) {
    const { args, url, after } = bodyOf(stored);
    this.record = stored.id;
    this.user = user;
    this.type = type;
    this.args = args;
    this.#of = of;
    this.#url = url;
    this.#after = after;
    this.#secret = stored.fields[SECRET] ?? '';
    this.#oldSecret = stored.fields[OLD_SECRET];
    this.#head = stored.head;
    this.#shown = stored.fields[FAILURE];
    this.#stamp = stored.stamp;
    this.#behind = behindOf(stored.head);
    if (this.#behind === undefined) return;
    // Until this is stored, the dispatcher before could still make it a live one.
    void this.#save().catch(() => {});
    this.#send();
  }

  get state(): SubscriptionState {
    if (this.#behind === undefined) return 'live';
    return this.#isSuspended ? 'suspended' : 'behind';
  }

  get #isSuspended(): boolean {
    return this.#tries > SUSPENDED_AFTER;
  }

  /** What its record says of the failures of its callback; `undefined`: there are none, or it took everything. */
  get #failureText(): string | undefined {
    if (this.#failure === undefined || this.#behind === undefined) return undefined;
    return failureText(this.#failure, this.#failedSince, this.#isSuspended);
  }

  /** Emits the notice of its new state. */
  tells(state: SubscriptionState | 'added' | 'ended'): void {
    const { type, user: userKey } = this;
    const subscription = shownId(this.record);
    const of = { kind: 'subscriptionChanged', event: type.name, subscription, userKey } as const;
    this.#of.store.options.notices.emit({ ...of, state });
  }

  /** Its client has refreshed it. */
  renew({ fields }: StoredRecord): void {
    this.#secret = fields[SECRET] ?? '';
    this.#oldSecret = fields[OLD_SECRET];
    this.#allowedUntil = this.#pausedUntil = this.#tries = 0;
    this.#send();
  }

  wants(no: number, event: EventText, user: string | null): boolean {
    if (event.n !== this.type.name || no <= this.#after) return false;
    if (user !== null && user !== this.user) return false;
    try {
      return this.type.matches(this.args, sentEvent(event), this.user);
    } catch (err) {
      this.#of.logger.warn({ err, event: event.n }, 'match() of an event threw: not delivered');
      return false;
    }
  }

  /** Resolves when its callback has taken it, or when the store has that it reads the event later. */
  take(no: number, event: EventText): Promise<void> {
    this.#hasMore = true;
    if (this.#behind !== undefined) {
      this.#send();
      return this.#saving ?? Promise.resolve();
    }
    return new Promise((settle) => {
      (this.#queue ??= []).push({ no, event, at: this.#of.monotonic(), settle });
      this.#watch(SOON_MS);
      this.#send();
    });
  }

  /** It has ended. Nothing waits for it any more. */
  end(): void {
    this.#state = 'over';
    this.#settle();
  }

  /** This instance dispatches no more. The POST that is under way may still be answered. */
  stop(): Promise<void> | undefined {
    if (this.#state === 'serving') this.#state = 'stopping';
    return this.#running;
  }

  #settle(): void {
    const queue = this.#queue ?? [];
    this.#queue = undefined;
    for (const { settle } of queue) settle();
  }

  // ——— live or behind ———

  /** One timer at a time: it looks at the event that waits longest. */
  #watch(ms: number): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    this.#of.after(ms, () => {
      this.#isWatched = false;
      const first = this.#queue?.[0];
      if (first === undefined || this.#state !== 'serving') return;
      const leftMs = first.at + SOON_MS - this.#of.monotonic();
      if (leftMs > 0) this.#watch(Math.max(1, leftMs));
      else void this.#fallBehind().catch(() => {});
    });
  }

  /** What waits is read from the records once that is stored. */
  async #fallBehind(): Promise<void> {
    const first = this.#queue?.[0];
    if (this.#behind !== undefined || first === undefined) return;
    this.#behind = first.no - 1;
    this.tells('behind');
    await this.#save();
    this.#settle();
    this.#send();
  }

  /** Resolves when the store has the present head, or a later one. Writes follow each other. */
  #save(): Promise<void> {
    const before = this.#saving ?? Promise.resolve();
    const saving = before
      .then(() => this.#store())
      .finally(() => {
        if (this.#saving === saving) this.#saving = undefined;
      });
    return (this.#saving = saving);
  }

  async #store(): Promise<void> {
    const { store, epoch } = this.#of;
    const head = this.#behind === undefined ? '' : behindHead(this.#behind);
    const failure = this.#failureText;
    this.#savedAt = this.#of.monotonic();
    const isStored = (): boolean =>
      head === this.#head && failure === this.#shown && this.#stamp === epoch;
    while (this.#state !== 'over' && !isStored()) {
      // Another instance dispatches: it settles what waits.
      if (this.#stamp > epoch) throw new Error('another instance dispatches');
      const seen = { ...UNOWNED, atStamp: this.#stamp };
      const fields = failure !== this.#shown && { [FAILURE]: failure ?? null };
      const change = { head, stamp: epoch, ...(fields && { fields }) };
      const save = () => store.subscriptions.save(this.record, seen, change);
      if ((await store.lasting(save)) !== 'fenced') {
        this.#head = head;
        this.#shown = failure;
        this.#stamp = epoch;
        return;
      }
      const found = await store.lasting(() => store.subscriptions.read(this.record));
      if (found === undefined || isEnded(found)) return this.#of.ended(this.record);
      this.#stamp = found.stamp;
    }
  }

  // ——— sending ———

  #send(): void {
    if (this.#running !== undefined || this.#state !== 'serving') return;
    if (this.#of.monotonic() < this.#pausedUntil) return;
    this.#running = this.#run()
      .catch((err: unknown) => {
        if (this.#state !== 'serving') return;
        this.#of.logger.warn({ err }, 'A callback could not get its events; the next try follows');
        this.#pause();
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#behind === undefined ? this.#queue !== undefined : this.#hasMore) this.#send();
      });
  }

  async #run(): Promise<void> {
    for (;;) {
      const first = this.#queue?.[0];
      if (first === undefined || this.#behind !== undefined || this.#state !== 'serving') break;
      const isTaken = await this.#sendOne(first.no, first.event);
      if (this.#isOver) return;
      if (!isTaken) return this.#fallBehind();
      // It may have fallen behind in this time. Then the next page begins after this event.
      if (this.#behind !== undefined) this.#behind = Math.max(this.#behind, first.no);
      else this.#taken();
      first.settle();
    }
    while (this.#behind !== undefined && this.#state === 'serving')
      if (!(await this.#sendPage(this.#behind))) return;
  }

  #taken(): void {
    this.#queue?.shift();
    if (this.#queue?.length === 0) this.#queue = undefined;
  }

  /** The state changes while it waits. */
  get #isOver(): boolean {
    return this.#state === 'over';
  }

  /** `false`: a try has failed. */
  async #sendPage(from: number): Promise<boolean> {
    const { store, numbers } = this.#of;
    const { name } = this.type;
    this.#hasMore = false;
    if (!(await this.#isPastGap(from))) return false;
    const after = eventRecordId(name, this.#behind ?? from);
    const page = () => store.events.list(PAGE, after, groupOfName(name));
    const { records } = await store.lasting(page);
    const readable = records.filter((record) => isReadable(numbers, record));
    for (const { id, body, user } of readable) {
      if (this.#state !== 'serving') break;
      const event = JSON.parse(body) as EventText;
      const no = numberOf(id);
      if (this.wants(no, event, user) && !(await this.#sendOne(no, event))) return false;
      if (this.#isOver) return true;
      this.#behind = no;
      if (this.#of.monotonic() - this.#savedAt > STORED_MS) await this.#save();
    }
    // What gets its number from now on comes by itself.
    if (readable.length === 0 && !this.#hasMore) {
      this.#behind = undefined;
      this.tells('live');
    }
    if (this.#behind === undefined || this.#state !== 'serving') await this.#save();
    return true;
  }

  /** Says so where events are not kept any more that it has not taken. `false`: a try has failed. */
  async #isPastGap(from: number): Promise<boolean> {
    const oldest = this.#of.numbers.tail - this.#of.keptMs(this.type.keepMs) * US_IN_MS;
    if (from >= oldest) return true;
    const message = gapMessage(shownId(this.record), cursorOf(oldest));
    if (!(await this.#post(message))) return false;
    this.#behind = Math.max(this.#behind ?? 0, oldest);
    return true;
  }

  /** `false`: it must be tried again. */
  async #sendOne(no: number, event: EventText): Promise<boolean> {
    if (!(await this.#isAllowed())) {
      await this.#terminate();
      return true;
    }
    const cursor = this.type.keepMs > 0 ? cursorOf(no) : null;
    return this.#post(eventMessage(shownId(this.record), sentEvent(event), cursor));
  }

  /** `false`: it must be tried again. */
  async #post(message: WebhookMessage): Promise<boolean> {
    const secrets = secretsOf(this.#secret, this.#oldSecret, this.#of.now());
    const began = this.#of.monotonic();
    const posted = await this.#of.post(new URL(this.#url), message, secrets);
    this.#of.store.options.notices.emit({
      kind: 'eventPosted',
      event: this.type.name,
      subscription: shownId(this.record),
      outcome: posted.ok ? 'taken' : posted.why,
      ms: this.#of.monotonic() - began,
    });
    if (this.#isOver) return true;
    if (this.#failure === undefined) this.#failedSince = this.#of.now();
    this.#failure = posted.ok ? undefined : posted.why;
    if (!posted.ok && posted.status === 410) {
      await this.#of.end(this.record);
      return true;
    }
    const isRefused = !posted.ok && posted.why === 'http_4xx' && this.#tries >= TRIES;
    if (posted.ok || posted.status === 413 || isRefused) {
      this.#tries = 0;
      return true;
    }
    this.#pause();
    return false;
  }

  #pause(): void {
    this.#tries += 1;
    if (this.#tries === SUSPENDED_AFTER + 1) this.tells('suspended');
    // Its record says so.
    if (this.#behind !== undefined && (this.#tries === 1 || this.#tries === SUSPENDED_AFTER + 1))
      void this.#save().catch(() => {});
    const ms = this.#of.pauseMs(this.#tries);
    this.#pausedUntil = this.#of.monotonic() + ms;
    this.#hasMore = true;
    this.#sendAfter(ms, this.#pausedUntil);
  }

  /** A timer may be early: Node counts from the beginning of the turn in which it was set. */
  #sendAfter(ms: number, until: number): void {
    this.#of.after(ms, () => {
      // Its client has refreshed it.
      if (this.#pausedUntil !== until) return;
      const leftMs = until - this.#of.monotonic();
      if (leftMs > 0) return this.#sendAfter(Math.max(1, leftMs), until);
      this.#pausedUntil = 0;
      this.#send();
    });
  }

  async #isAllowed(): Promise<boolean> {
    const { authorize } = this.type.options;
    const now = this.#of.monotonic();
    if (authorize === undefined || now < this.#allowedUntil) return true;
    if (!(await authorize(this.args, this.user))) return false;
    this.#allowedUntil = now + ALLOWED_MS;
    return true;
  }

  /** Access was revoked: the callback hears it once. */
  async #terminate(): Promise<void> {
    const secrets = secretsOf(this.#secret, this.#oldSecret, this.#of.now());
    await this.#of.post(new URL(this.#url), terminated(shownId(this.record)), secrets);
    await this.#of.end(this.record);
  }
}
