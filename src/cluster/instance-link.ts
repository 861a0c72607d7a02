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
 * items. What is sent next, and in which order, is in `send-queue.ts`.
 *
 * While something is held open, a silent peer is checked: every third of the lease time, or after 100 ms where a call
 * waits for its answer. A peer that is heard is checked once in a lease time. An earlier message is no sign of life.
 *
 * A dead id is never used again. So two ids have exactly one link, and neither end restarts it.
 */
import type { TimeProvider } from '../base/types.ts';
import type { Room } from '../http/sink.ts';
import { JoinedParts } from './item-parts.ts';
import { type CallItem, LINK_VERSION, type LinkItem, type LinkMessage } from './messages.ts';
import { SendQueue, type Writer } from './send-queue.ts';

export interface LinkOptions {
  readonly peer: string;
  readonly time: Required<TimeProvider>;
  readonly leaseMs: number;
  send(message: LinkMessage): void;
  receive(item: CallItem): void;
  /** The peer has been silent for long, or its lease was not seen for a lease time: check whether it is alive. */
  onDoubt(): void;
}

/** Delay of acknowledgements but those of pings. A message that is pushed within it carries it. */
const ACK_MS = 5;
const FIRST_PING_MS = 10;
const QUICK_PING_MS = 20;
const QUICK_PINGS = 10;
const SLOW_PART = 3;
/** How long a client's call may wait in silence before the link checks whether the owner is alive. */
const CALL_WATCH_MS = 100;
export class Link {
  readonly peer: string;
  readonly #options: LinkOptions;
  #failed = false;
  // ——— outgoing ———
  readonly #queue = new SendQueue();
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
    return this.#queue.bytes;
  }

  /** Resolves when the peer has taken everything pushed so far, or the link has failed. */
  async taken(): Promise<void> {
    while (!this.#failed && !this.#queue.isEmpty) await this.#change();
  }

  /**
   * `share`: of the user of the call. Items of one user arrive in their order. `taken` is called when the peer has the
   * item, and never after a failure. Items of one turn of microtasks are sent together.
   */
  push(item: LinkItem, bytes: number, share: string, taken?: () => void): void {
    if (this.#failed) return;
    this.#askedAt ??= this.#options.time.monotonic();
    this.#queue.push(item, bytes, share, taken);
    this.#flushSoon();
  }

  withdraw(isMeant: (item: LinkItem) => boolean): void {
    this.#queue.withdraw(isMeant);
    this.#release();
  }

  largest(writer: Writer, isOpen: (n: number) => boolean): number {
    return this.#queue.largest(writer, isOpen);
  }

  /** Resolves when this user may push `bytes` more, or the link has failed. */
  async room(share: string, bytes: number): Promise<void> {
    while (!this.#failed && !this.fits(share, bytes)) await this.#change();
  }

  fits(share: string, bytes: number): boolean {
    return this.#queue.fits(share, bytes);
  }

  /** For events of so many bytes that are about to be stored, and then pushed. */
  storingRoom(share: string, bytes: number): Room {
    if (!this.fits(share, bytes)) return this.room(share, bytes);
    const give = this.#queue.keep(share, bytes);
    if (give === undefined) return undefined;
    return () => {
      give();
      this.#release();
    };
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
      // Two ends with a gap each would answer each other without end. Their pings show the gap that
      // remains.
      if (gap !== true || items.length > 0 || ask === true) this.#oweGap();
    } else if (items.length > 0 || ask === true)
      this.#oweAck(ask === true || items.at(-1)?.t === 'ping');
    // Each message behind a gap is answered, so all is sent again once.
    if (
      gap !== true ||
      this.#wentBack ||
      ack !== this.#queue.first ||
      this.#queue.lastSent === undefined
    )
      return;
    this.#wentBack = true;
    this.#queue.goBack();
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
    const { lastSent, nextSent, allSent } = this.#queue;
    if (lastSent !== undefined && !allSent) return this.#send(nextSent, [], true);
    if (lastSent?.t === 'ping') return this.#send(nextSent - 1, [lastSent]);
    this.#askedAt ??= this.#options.time.monotonic();
    this.#queue.pushPing();
    this.#flushSoon();
  }

  fail(): void {
    if (this.#failed) return;
    this.#failed = true;
    for (const timer of [this.#ackTimer, this.#timer]) this.#options.time.clearTimeout(timer);
    this.#queue.clear();
    this.#release();
  }

  /** Whether the peer has taken items that it had not acknowledged before. */
  #acknowledged(ack: number): boolean {
    const taken = this.#queue.acknowledged(ack);
    if (taken.length === 0) return false;
    this.#wentBack = false;
    this.#progressed = true;
    this.#askedAt = this.#queue.isEmpty ? undefined : this.#options.time.monotonic();
    if (!this.#queue.allSent) this.#flushSoon();
    for (const pending of taken) pending.taken?.();
    if (this.#waiting.length > 0) this.#release();
    return true;
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #oweGap(): void {
    this.#owes = 'gap';
    this.#flushSoon();
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
    const from = this.#queue.nextSent;
    const items = this.#queue.send();
    if (items.length === 0 && this.#owes === 'nothing') return;
    this.#send(from, items);
    this.#arm();
  }

  #send(first: number, items: readonly LinkItem[], ask?: true): void {
    const gap = this.#owes === 'gap';
    this.#owes = 'nothing';
    const message = {
      kind: 'link',
      v: LINK_VERSION,
      to: this.peer,
      first,
      items,
      ack: this.#expected,
    } as const;
    this.#options.send({ ...message, ...(gap && { gap }), ...(ask && { ask }) });
  }

  #arm(): void {
    const waits = !this.#queue.isEmpty;
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
    if (this.#isSlow && !(this.leaseSeen && this.heardWithin(this.#watchMs)))
      this.#options.onDoubt();
    if (this.#failed) return;
    this.#wentBack = false;
    if (this.#queue.isEmpty || this.#progressed) {
      this.#pings = 0;
      // Its acknowledgement shows that messages pass in both directions.
      if (this.#queue.isEmpty && !this.heardWithin(this.#options.leaseMs)) this.ping();
    } else {
      this.#pings += 1;
      this.ping();
    }
    this.#arm();
  }
}
