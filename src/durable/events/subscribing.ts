/**
 * How any instance makes, renews and ends subscriptions with a callback. After each change a piece of news lets the
 * dispatcher read the subscription before all events that are emitted later.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { storedShare, shareKey } from '../../base/budget.ts';
import type { EventData, EventType, ResolvedEvents } from '../../base/options/events-options.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { base64url } from '../../base/system.ts';
import { isEnded, RECORD_VERSION, type StoredRecord, UNOWNED } from '../../stores/store.ts';
import type { Deliveries } from './deliveries.ts';
import { type EventStore, shownId, subscriptionId } from './event-store.ts';
import { EventError, invalid, verification } from './event-wire.ts';
import {
  bodyOf,
  type DeliveryFailure,
  failureOf,
  rotated,
  SECRET,
  type SubscriptionBody,
} from './subscription-record.ts';
import { behindHead } from './subscription.ts';
import { answersChallenge, secretBytes } from './webhook.ts';

const LEAST_TTL_MS = 60_000;
const TTL_MS = 3_600_000;
const URL_LENGTH = 2_048;
const ARGUMENTS_BYTES = 4_096;
const PAGE = 1_000;
/** Challenges of one user, and those to one host, in this time. */
const CHALLENGES_MS = 60_000;
const CHALLENGES = { user: 60, host: 120 };
const COUNTED = 10_000;

export interface Subscribe {
  readonly type: EventType;
  readonly args: EventData;
  readonly user: string;
  readonly params: Readonly<Record<string, unknown>>;
  /** It begins with the event after this number. */
  readonly from: number;
  /** Such events may have happened already. */
  readonly isReplay: boolean;
}

export interface Subscribed {
  readonly id: string;
  /** In ms since 1970. */
  readonly expiresAt: number;
  /** How the callback failed before this refresh. `undefined`: the subscription is new, or nothing failed. */
  readonly failure: DeliveryFailure | undefined;
}

export class Subscribing {
  readonly #store: EventStore;
  readonly #events: ResolvedEvents;
  readonly #deliveries: Deliveries;
  readonly #challenges = new BoundedMap<string, { readonly since: number; count: number }>(COUNTED);

  constructor(store: EventStore, events: ResolvedEvents, deliveries: Deliveries) {
    this.#store = store;
    this.#events = events;
    this.#deliveries = deliveries;
  }

  async subscribe(given: Subscribe): Promise<Subscribed> {
    const { type, args, user, params } = given;
    const { url, secret } = this.#delivery(params['delivery'], true);
    if (Buffer.byteLength(JSON.stringify(args)) > ARGUMENTS_BYTES)
      throw invalid('arguments', 'too_large');
    const ttlMs = this.#ttlOf(params['ttlMs']);
    const id = subscriptionId(user, url.href, type.name, args);
    const found = await this.#renew(id, secret, ttlMs);
    if (found === undefined) {
      await this.#challenge(user, url, secret, id);
      // Another request may have made it.
      if (!(await this.#create(given, { id, url, secret, ttlMs })))
        await this.#renew(id, secret, ttlMs);
    }
    await this.#store.tellOf(id);
    const expiresAt = this.#deliveries.now() + ttlMs;
    return { id: shownId(id), expiresAt, failure: found && failureOf(found) };
  }

  async unsubscribe(name: string, args: EventData, user: string, given: unknown): Promise<void> {
    const { url } = this.#delivery(given, false);
    if (!(await this.end(subscriptionId(user, url.href, name, args))))
      throw new EventError('NotFound', { kind: 'subscription' });
  }

  /** `false`: there is none. */
  async end(id: string): Promise<boolean> {
    const { subscriptions } = this.#store;
    const ended = await this.#store.reach(() => subscriptions.end(id, UNOWNED, '', 0));
    if (ended === 'ended') await this.#store.tellOf(id);
    return ended === 'ended';
  }

  /** The subscription as it was before; `undefined`: there is none. */
  async #renew(id: string, secret: string, ttlMs: number): Promise<StoredRecord | undefined> {
    const { subscriptions } = this.#store;
    const found = await this.#store.reach(() => subscriptions.read(id));
    if (found === undefined || isEnded(found)) return undefined;
    const fields = rotated(found, secret, this.#deliveries.now());
    const change = { fields, expiresInMs: ttlMs };
    const saved = await this.#store.reach(() => subscriptions.save(id, UNOWNED, change));
    return saved === 'fenced' ? undefined : found;
  }

  async #create(
    { type, args, user, from, isReplay }: Subscribe,
    { id, url, secret, ttlMs }: { id: string; url: URL; secret: string; ttlMs: number },
  ): Promise<boolean> {
    const { subscriptions } = this.#store;
    const body: SubscriptionBody = { name: type.name, args, url: url.href, after: from };
    const record = {
      v: RECORD_VERSION,
      id,
      ...UNOWNED,
      user,
      share: storedShare(shareKey(user)),
      head: isReplay ? behindHead(from) : '',
      body: JSON.stringify(body),
      fields: { [SECRET]: secret },
      createdAt: this.#deliveries.now(),
      stamp: 0,
    };
    const before = await this.#store.reach(() => subscriptions.read(id));
    // Its end still shows.
    if (before !== undefined && isEnded(before))
      await this.#store.reach(() => subscriptions.end(id, before, '', 0));
    if ((await this.#store.reach(() => subscriptions.create(record, ttlMs))) === 'exists')
      return false;
    await this.#store.keepSubscription(record);
    // Others of this user may have been made at once: of two that take the last place both may be refused.
    const { eventSubscriptions: most } = this.#store.options.perUser;
    const group = id.slice(0, id.indexOf('.'));
    if ((await this.#store.reach(() => subscriptions.count(group))) <= most) return true;
    await this.#store.reach(() => subscriptions.end(id, UNOWNED, '', 0));
    throw new EventError('ResourceExhausted', { limit: 'subscriptions', max: most });
  }

  #ttlOf(given: unknown): number {
    const most = this.#events.maxTtlMs;
    if (given === undefined) return Math.min(TTL_MS, most);
    if (given === null) return most;
    if (!Number.isSafeInteger(given) || Number(given) <= 0) throw invalid('ttlMs', 'invalid');
    return Math.min(Math.max(Number(given), LEAST_TTL_MS), most);
  }

  #delivery(given: unknown, withSecret: boolean): { readonly url: URL; readonly secret: string } {
    if (!isObject(given)) throw invalid('delivery', 'required');
    const { mode, url: text, secret } = given;
    if (mode !== undefined && mode !== 'webhook') {
      const value = String(mode).slice(0, 64);
      throw new EventError('Unsupported', { feature: 'deliveryMode', value });
    }
    if (typeof text !== 'string' || text.length > URL_LENGTH || !URL.canParse(text))
      throw invalid('delivery.url', 'invalid_url');
    const url = new URL(text);
    if (url.username !== '' || url.password !== '' || url.hash !== '')
      throw invalid('delivery.url', 'invalid_url');
    const isTrusted = url.protocol === 'http:' && this.#deliveries.isTrusted(url);
    if (url.protocol !== 'https:' && !isTrusted) throw invalid('delivery.url', 'https_required');
    if (withSecret && secretBytes(secret) === undefined)
      throw invalid('delivery.secret', 'invalid_secret');
    return { url, secret: String(secret) };
  }

  /** Unless the callback has answered a challenge for another living subscription of this user. */
  async #challenge(user: string, url: URL, secret: string, id: string): Promise<void> {
    const own = await this.#own(id);
    const { eventSubscriptions: most } = this.#store.options.perUser;
    if (own.length >= most)
      throw new EventError('ResourceExhausted', { limit: 'subscriptions', max: most });
    const { eventSubscriptions: all } = this.#store.options.limits;
    if ((await this.#store.reach(() => this.#store.subscriptions.count())) >= all)
      throw new EventError('ResourceExhausted', { limit: 'subscriptions', max: all });
    if (own.some((other) => bodyOf(other).url === url.href)) return;
    this.#count('user', user);
    this.#count('host', url.host);
    const posted = await this.ask(url, secret, id);
    if (posted !== undefined) throw new EventError('CallbackEndpointError', { reason: posted });
  }

  /** Sends a challenge. Resolves with why the callback did not answer it. */
  async ask(url: URL, secret: string, id: string): Promise<string | undefined> {
    const challenge = base64url(this.#store.random(32));
    const nonce = base64url(this.#store.random(12));
    const message = verification(shownId(id), nonce, challenge);
    const posted = await this.#deliveries.post(url, message, [secret]);
    if (!posted.ok) return posted.why;
    return answersChallenge(posted.body, challenge) ? undefined : 'challenge_failed';
  }

  async #own(id: string): Promise<readonly StoredRecord[]> {
    const group = id.slice(0, id.indexOf('.'));
    const { subscriptions } = this.#store;
    return (await this.#store.reach(() => subscriptions.list(PAGE, undefined, group))).records;
  }

  #count(of: keyof typeof CHALLENGES, name: string): void {
    const key = `${of} ${name}`;
    const now = this.#deliveries.monotonic();
    let known = this.#challenges.use(key);
    if (known === undefined || now - known.since >= CHALLENGES_MS)
      this.#challenges.set(key, (known = { since: now, count: 0 }));
    known.count += 1;
    const max = CHALLENGES[of];
    if (known.count > max) throw new EventError('ResourceExhausted', { limit: 'challenges', max });
  }
}
