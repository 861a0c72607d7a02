/**
 * One end of the connection between two instances. Each item pushed at one end arrives at the other end once and in
 * order, over mailboxes that may lose, duplicate and delay messages. Items are numbered in both directions.
 *
 *     open ──fail()──▶ failed        an id is dead, or its lease lapsed: nothing is sent or taken
 *
 * Items are sent again as TCP does it (go-back-N). A receiver takes items in their order alone. A message behind a gap
 * is answered with the number that is expected, and the sender sends all from there again. A `ping` follows items that
 * are not acknowledged after 10 ms, then every 20 ms for 200 ms, then every third of the lease time: an item that shows
 * the receiver such a gap, and the sender whether its messages pass. Behind a full window it is a message without
 * items. Large items are cut into parts, and at most `WINDOW_BYTES` are under way: a store takes messages of bounded
 * size, and little is sent twice.
 *
 * While something is held open, a silent peer is checked: every third of the lease time, or after 100 ms where a call
 * waits for its answer. A peer that is heard is checked once in a lease time. An earlier message is no sign of life.
 *
 * A dead id is never used again. So two ids have exactly one link, and neither end restarts it.
 */
import type { TimeProvider } from '../types.ts';
import { EventRoom } from './event-room.ts';
import { JoinedParts, partsOf, type Part } from './item-parts.ts';
import { type CallItem, LINK_VERSION, type LinkItem, type LinkMessage } from './messages.ts';

export interface LinkOptions {
  readonly peer: string;
  readonly time: Required<TimeProvider>;
  readonly leaseMs: number;
  send(message: LinkMessage): void;
  receive(item: CallItem): void;
  /** The peer has been silent for long, or its lease was not seen for a lease time: check whether it is alive. */
  onDoubt(): void;
}

interface Pending extends Part {
  taken: (() => void) | undefined;
  /** What was pushed: `item`, or what it is a part of. */
  readonly of: LinkItem;
}

/** Delay of acknowledgements but those of pings. A message that is pushed within it carries it. */
const ACK_MS = 5;
const FIRST_PING_MS = 10;
const QUICK_PING_MS = 20;
const QUICK_PINGS = 10;
const PING_BYTES = 64;
/** Sent and not acknowledged. */
const WINDOW_BYTES = 1_048_576;
const SLOW_PART = 3;
/** How long a client's call may wait in silence before the link checks whether the owner is alive. */
const CALL_WATCH_MS = 100;
/**
 * Undelivered bytes to one peer. Above it calls wait, and so do the events of logged streams (`event-room.ts`). Any
 * other stream with more than `streamBufferBytes` among them is cut; above twice as much every other stream that keeps
 * writing in later turns is cut.
 */
export const CREDIT_BYTES = 8_388_608;

export class Link {
  readonly peer: string;
  readonly eventRoom = new EventRoom(this);
  readonly #options: LinkOptions;
  #failed = false;
  // ——— outgoing ———
  #next = 0;
  #unacked: Pending[] = [];
  #unackedBytes = 0;
  /** How many of the unacknowledged items were sent, whether they arrived or not. */
  #sent = 0;
  #sentBytes = 0;
  #flushing = false;
  #waiting: Array<() => void> = [];
  /** All was sent again since the peer last took an item, or since the last ping. */
  #wentBack = false;
  // ——— incoming ———
  #expected = 0;
  readonly #parts = new JoinedParts();
  #owes: 'nothing' | 'ack' | 'gap' = 'nothing';
  #ackTimer: unknown;
  // ——— the peer, as times of the monotonic clock ———
  /** The last message that brought an item or an acknowledgement that was not seen before. */
  #heardAt = -Infinity;
  /** The store had a lease of the peer. */
  #leaseSeenAt = -Infinity;
  /** Since when an item waits, and nothing was acknowledged since. */
  #askedAt: number | undefined;
  // ——— pings ———
  #held = 0;
  /** Calls among the holds: they wait for an answer. */
  #calls = 0;
  #timer: unknown;
  #due = 0;
  #isSlow = false;
  #pings = 0;
  /** The peer has taken an item since the timer was set. */
  #progressed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.peer = options.peer;
  }

  get failed(): boolean {
    return this.#failed;
  }

  heardWithin(ms: number): boolean {
    return this.#silentMs < ms;
  }

  get #silentMs(): number {
    return this.#options.time.monotonic() - this.#heardAt;
  }

  sawLease(): void {
    this.#leaseSeenAt = this.#options.time.monotonic();
  }

  /** Within a lease time. */
  get leaseSeen(): boolean {
    return this.#options.time.monotonic() - this.#leaseSeenAt < this.#options.leaseMs;
  }

  /** How long the peer has acknowledged nothing of what was sent, although other messages of it may arrive. */
  get unansweredMs(): number {
    return this.#askedAt === undefined ? 0 : this.#options.time.monotonic() - this.#askedAt;
  }

  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  /** Resolves when the peer has taken everything pushed so far, or the link has failed. */
  async taken(): Promise<void> {
    while (!this.#failed && this.#unacked.length > 0) await this.#change();
  }

  /**
   * `taken` is called when the peer has the item, and never after a failure. Items of one turn of microtasks are sent
   * together.
   */
  push(item: LinkItem, bytes: number, taken?: () => void): void {
    if (this.#failed) return;
    this.#askedAt ??= this.#options.time.monotonic();
    for (const part of partsOf(item, bytes)) {
      this.#next += 1;
      this.#unacked.push({ ...part, taken: undefined, of: item });
      this.#unackedBytes += part.bytes;
    }
    const last = this.#unacked.at(-1);
    if (last !== undefined) last.taken = taken;
    this.#flushSoon();
  }

  /** The item is not sent again. The peer may have it all the same: its acknowledgement may be lost. */
  withdraw(item: LinkItem): void {
    const ping = { item: { t: 'ping' }, bytes: PING_BYTES, taken: undefined } as const;
    for (const part of this.#unacked) if (part.of === item) Object.assign(part, ping);
    this.#unackedBytes = bytesOf(this.#unacked);
    this.#sentBytes = bytesOf(this.#unacked.slice(0, this.#sent));
    this.#release();
  }

  /** Resolves when `bytes` more may be pushed, or the link has failed. */
  async room(bytes: number): Promise<void> {
    while (!this.#failed && !this.fits(bytes)) await this.#change();
  }

  /** An item may be larger than the credit. On a busy link something is always unacknowledged. */
  fits(bytes: number): boolean {
    return this.#unackedBytes + Math.min(bytes, CREDIT_BYTES / 2) <= CREDIT_BYTES;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Watches the peer until the returned function is called. `'call'`: a client waits for an answer. */
  hold(what: 'call' | 'stream'): () => void {
    const calls = what === 'call' ? 1 : 0;
    this.#held += 1;
    this.#calls += calls;
    this.#arm();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#held -= 1;
      this.#calls -= calls;
    };
  }

  receive({ first, items, ack, gap, ask }: LinkMessage): void {
    if (this.#failed) return;
    const brings = first <= this.#expected && first + items.length > this.#expected;
    if (this.#acknowledged(ack) || brings) this.#heardAt = this.#options.time.monotonic();
    for (const [n, item] of items.entries()) {
      if (first > this.#expected) break;
      if (this.repeats(first + n)) continue;
      this.#expected = Math.max(this.#expected, first + n + 1);
      const whole = this.#parts.take(item);
      if (whole !== undefined) this.#options.receive(whole);
      if (this.#failed) return;
    }
    if (first > this.#expected) {
      this.#owes = 'gap';
      this.#flushSoon();
    } else if (items.length > 0 || ask === true) this.#oweAck(ask === true || items.at(-1)?.t === 'ping');
    // Each message behind a gap is answered, so all is sent again once.
    if (gap !== true || this.#wentBack || ack !== this.#firstUnacked || this.#sent === 0) return;
    this.#wentBack = true;
    this.#sent = this.#sentBytes = 0;
    this.#flushSoon();
  }

  /** Whether an item with this number arrived before. */
  repeats(no: number): boolean {
    return no < this.#expected;
  }

  /** Every further ping is a quick one, because this instance is about to leave. */
  hurry(): void {
    this.#pings = -Infinity;
    this.ping();
    this.#arm();
  }

  /** Asks for an acknowledgement: with a new item, again with the last one, or without any behind a full window. */
  ping(): void {
    const last = this.#unacked[this.#sent - 1]?.item;
    const isFull = last !== undefined && this.#sent < this.#unacked.length;
    if (isFull) this.#send(this.#firstUnacked + this.#sent, [], true);
    else if (last?.t === 'ping') this.#send(this.#firstUnacked + this.#sent - 1, [last]);
    else this.push({ t: 'ping' }, PING_BYTES);
  }

  fail(): void {
    if (this.#failed) return;
    this.#failed = true;
    for (const timer of [this.#ackTimer, this.#timer]) this.#options.time.clearTimeout(timer);
    this.#unacked = [];
    this.#unackedBytes = 0;
    this.#release();
  }

  get #firstUnacked(): number {
    return this.#next - this.#unacked.length;
  }

  /** Whether the peer has taken items that it had not acknowledged before. */
  #acknowledged(ack: number): boolean {
    const count = ack - this.#firstUnacked;
    if (count <= 0 || count > this.#unacked.length) return false;
    const taken = this.#unacked.splice(0, count);
    this.#sentBytes = this.#sent > count ? this.#sentBytes - bytesOf(taken) : 0;
    this.#sent = Math.max(0, this.#sent - count);
    this.#wentBack = false;
    this.#progressed = true;
    this.#askedAt = this.#unacked.length > 0 ? this.#options.time.monotonic() : undefined;
    this.#unackedBytes -= bytesOf(taken);
    if (this.#sent < this.#unacked.length) this.#flushSoon();
    for (const pending of taken) pending.taken?.();
    if (this.#waiting.length > 0) this.#release();
    return true;
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #oweAck(isAsked: boolean): void {
    if (this.#owes === 'nothing') this.#owes = 'ack';
    if (isAsked) return this.#flushSoon();
    this.#ackTimer ??= this.#options.time.setTimeout(() => {
      this.#ackTimer = undefined;
      this.#flush();
    }, ACK_MS);
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#failed) return;
    const from = this.#sent;
    const items: LinkItem[] = [];
    for (const { item, bytes } of this.#unacked.slice(from)) {
      if (this.#sentBytes >= WINDOW_BYTES) break;
      this.#sentBytes += bytes;
      items.push(item);
    }
    if (items.length === 0 && this.#owes === 'nothing') return;
    this.#send(this.#firstUnacked + from, items);
    this.#sent += items.length;
    this.#arm();
  }

  #send(first: number, items: readonly LinkItem[], ask?: true): void {
    const gap = this.#owes === 'gap';
    this.#owes = 'nothing';
    const message = { kind: 'link', v: LINK_VERSION, to: this.peer, first, items, ack: this.#expected } as const;
    this.#options.send({ ...message, ...(gap && { gap }), ...(ask && { ask }) });
  }

  #arm(): void {
    const waits = this.#unacked.length > 0;
    if (this.#failed || (!waits && this.#held === 0)) return;
    const { time } = this.#options;
    const isSlow = !waits || this.#pings > QUICK_PINGS;
    const quick = this.#pings === 0 ? FIRST_PING_MS : QUICK_PING_MS;
    const left = isSlow ? this.#watchMs - this.#silentMs : quick;
    const ms = left > 0 ? left : this.#watchMs;
    const due = time.monotonic() + ms;
    if (this.#timer !== undefined) {
      if (this.#due <= due) return;
      time.clearTimeout(this.#timer);
    }
    this.#due = due;
    this.#isSlow = isSlow;
    this.#progressed = false;
    this.#timer = time.setTimeout(() => this.#tick(), ms);
  }

  get #watchMs(): number {
    const slow = this.#options.leaseMs / SLOW_PART;
    return this.#calls === 0 ? slow : Math.min(slow, CALL_WATCH_MS);
  }

  #tick(): void {
    this.#timer = undefined;
    if (this.#isSlow && !(this.leaseSeen && this.heardWithin(this.#watchMs))) this.#options.onDoubt();
    if (this.#failed) return;
    this.#wentBack = false;
    if (this.#unacked.length === 0 || this.#progressed) {
      this.#pings = 0;
      // Its acknowledgement shows that messages pass in both directions.
      if (this.#unacked.length === 0 && !this.heardWithin(this.#options.leaseMs)) this.ping();
    } else {
      this.#pings += 1;
      this.ping();
    }
    this.#arm();
  }
}

const bytesOf = (pending: readonly Pending[]): number => pending.reduce((sum, { bytes }) => sum + bytes, 0);
