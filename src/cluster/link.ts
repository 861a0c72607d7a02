/**
 * This instance's end of the conversation with one other: what is pushed at one end comes out at the other, once and in
 * order, over mailboxes that may lose, double and delay messages. Items are numbered both ways.
 *
 *     open ──fail()──▶ failed        the peer is dead, or we are (a lapsed lease): nothing is sent or taken any more
 *
 * What is not acknowledged is asked about (a probe) after 10 ms, then every 20 ms for 200 ms, then every third of the lease
 * time; a probe says what is expected next, and its answer lets the other side send again from there. As long as something
 * is held open on it, a peer that is silent is looked at: every third of the lease time, or after 100 ms where a call waits
 * for its answer.
 *
 * An id is dead for ever, so two ids have one conversation, and neither end ever starts it anew.
 */
import type { InstanceMessage } from '../stores/store.ts';
import { afterTurn } from '../options/system.ts';
import type { TimeProvider } from '../types.ts';

/** The format of link messages and of what travels in them. */
export const LINK_VERSION = 1;

/** What one instance tells another; its meaning is that of whoever pushed it. */
export type LinkItem = { readonly t: string; readonly [key: string]: unknown };

export interface LinkMessage extends InstanceMessage {
  readonly kind: 'link';
  readonly v: number;
  /** The id it is meant for: what was for an earlier id of this instance is nobody's. */
  readonly to: string;
  /** The number of the first item, or of the next one when there is none. */
  readonly first: number;
  readonly items: readonly LinkItem[];
  /** The number of the item that is expected next. */
  readonly ack: number;
  /** Asks for an acknowledgement, under this number. */
  readonly probe?: number;
  /** Answers the probe of this number. */
  readonly re?: number;
}

export interface LinkOptions {
  readonly peer: string;
  readonly time: Required<TimeProvider>;
  readonly leaseMs: number;
  send(message: LinkMessage): void;
  receive(item: LinkItem): void;
  /** Whether whoever pushed an item waits for more than its acknowledgement. */
  asks(item: LinkItem): boolean;
  /** Nothing was heard for long: look whether it still lives. */
  doubt(): void;
}

interface Pending {
  readonly item: LinkItem;
  readonly bytes: number;
  readonly taken: (() => void) | undefined;
}

/** Turns that the acknowledgement of a question waits: an answer within the turn that brought it carries it for nothing. */
const ACK_TURNS = 2;
/** Of anything else, below the first probe: whatever is pushed meanwhile carries it. */
const ACK_MS = 5;
const FIRST_PROBE_MS = 10;
const QUICK_PROBE_MS = 20;
const QUICK_PROBES = 10;
const SLOW_PART = 3;
/** A client of ours waits that long until somebody looks whether the owner of its call still lives. */
const CALL_WATCH_MS = 100;
/**
 * Undelivered bytes of one peer. Past it calls wait, and a stream is cut that has more than `streamBufferBytes` among them; past
 * twice as many every stream that goes on writing.
 */
export const CREDIT_BYTES = 8_388_608;

export class Link {
  readonly peer: string;
  readonly #options: LinkOptions;
  #failed = false;
  // ——— the way out ———
  #next = 0;
  #unacked: Pending[] = [];
  #unackedBytes = 0;
  /** How many of the unacknowledged were sent, maybe in vain. */
  #sent = 0;
  #flushing = false;
  #waiting: Array<() => void> = [];
  // ——— the way in ———
  #expected = 0;
  #owesAck = false;
  #ackDue = false;
  #ackTimer: unknown;
  /** To be answered with the next message. */
  #asked: number | undefined;
  #heardAt = -Infinity;
  // ——— probes ———
  #held = 0;
  /** Of those, calls that wait for an answer. */
  #calls = 0;
  #probeTimer: unknown;
  #probeDue = 0;
  #probeIsSlow = false;
  #round = 0;
  #probe = 0;
  /** The first unacknowledged item when the timer was set. */
  #firstThen = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.peer = options.peer;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Whether the peer has said something in the last `ms`. */
  heardWithin(ms: number): boolean {
    return this.#options.time.monotonic() - this.#heardAt < ms;
  }

  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  /** Resolves when everything pushed so far was taken, or the link has failed. */
  async taken(): Promise<void> {
    while (!this.#failed && this.#unacked.length > 0) await this.#change();
  }

  /** `taken` is called when the peer has it; never after a failure. Items of one turn of microtasks leave together. */
  push(item: LinkItem, bytes: number, taken?: () => void): void {
    if (this.#failed) return;
    this.#next += 1;
    this.#unacked.push({ item, bytes, taken });
    this.#unackedBytes += bytes;
    this.#flushSoon();
  }

  /** Resolves when so much more may be pushed, or the link has failed. */
  async room(bytes: number): Promise<void> {
    while (!this.#failed && !this.fits(bytes)) await this.#change();
  }

  /** A single item may be larger than the credit. */
  fits(bytes: number): boolean {
    return this.#unackedBytes === 0 || this.#unackedBytes + bytes <= CREDIT_BYTES;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** From now on the peer is watched; the returned function ends that. `'call'`: somebody waits for an answer. */
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

  receive(message: LinkMessage): void {
    if (this.#failed) return;
    this.#heardAt = this.#options.time.monotonic();
    this.#acknowledged(message.ack);
    const { first, items, probe, re } = message;
    let asked = false;
    for (const [n, item] of items.entries()) {
      // What is missing before it comes again, and this with it.
      if (first + n > this.#expected) break;
      if (this.repeats(first + n)) continue;
      this.#expected = Math.max(this.#expected, first + n + 1);
      asked ||= this.#options.asks(item);
      this.#options.receive(item);
      if (this.#failed) return;
    }
    if (items.length > 0) this.#oweAck(asked);
    if (probe !== undefined) {
      this.#asked = probe;
      this.#flushSoon();
    }
    if (re === this.#probe && this.#sent > 0) {
      this.#sent = 0;
      this.#flushSoon();
    }
  }

  /** Whether an item has come before. */
  repeats(no: number): boolean {
    return no < this.#expected;
  }

  /** Asks for an acknowledgement now. */
  probe(): void {
    this.#probe += 1;
    this.#send([], this.#probe);
  }

  fail(): void {
    if (this.#failed) return;
    this.#failed = true;
    const { time } = this.#options;
    for (const timer of [this.#ackTimer, this.#probeTimer]) if (timer !== undefined) time.clearTimeout(timer);
    this.#unacked = [];
    this.#unackedBytes = 0;
    this.#release();
  }

  #acknowledged(ack: number): void {
    const first = this.#next - this.#unacked.length;
    const count = ack - first;
    if (count <= 0 || count > this.#unacked.length) return;
    const taken = this.#unacked.splice(0, count);
    this.#sent = Math.max(0, this.#sent - count);
    for (const { bytes } of taken) this.#unackedBytes -= bytes;
    for (const pending of taken) pending.taken?.();
    if (this.#waiting.length > 0) this.#release();
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #oweAck(soon: boolean): void {
    this.#owesAck = true;
    if (!soon) {
      this.#ackTimer ??= this.#options.time.setTimeout(() => {
        this.#ackTimer = undefined;
        if (this.#owesAck) this.#flush();
      }, ACK_MS);
    } else if (!this.#ackDue) {
      this.#ackDue = true;
      afterTurns(ACK_TURNS, () => {
        this.#ackDue = false;
        if (this.#owesAck) this.#flush();
      });
    }
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#failed) return;
    const items = this.#unacked.slice(this.#sent);
    if (items.length === 0 && !this.#owesAck && this.#asked === undefined) return;
    this.#send(items.map(({ item }) => item));
    this.#sent = this.#unacked.length;
    this.#arm();
  }

  #send(items: readonly LinkItem[], probe?: number): void {
    const re = this.#asked;
    this.#asked = undefined;
    this.#owesAck = false;
    this.#options.send({
      kind: 'link',
      v: LINK_VERSION,
      to: this.peer,
      first: this.#next - this.#unacked.length + this.#sent,
      items,
      ack: this.#expected,
      ...(probe !== undefined && { probe }),
      ...(re !== undefined && { re }),
    });
  }

  #arm(): void {
    const waits = this.#unacked.length > 0;
    if (this.#failed || (!waits && this.#held === 0)) return;
    const { time } = this.#options;
    const isSlow = !waits || this.#round > QUICK_PROBES;
    const quick = this.#round === 0 ? FIRST_PROBE_MS : QUICK_PROBE_MS;
    const ms = isSlow ? this.#silentMs() : quick;
    const due = time.monotonic() + ms;
    if (this.#probeTimer !== undefined) {
      if (this.#probeDue <= due) return;
      time.clearTimeout(this.#probeTimer);
    }
    this.#probeDue = due;
    this.#probeIsSlow = isSlow;
    this.#firstThen = this.#next - this.#unacked.length;
    this.#probeTimer = time.setTimeout(() => this.#tick(), ms);
  }

  /** Until it will have been silent for as long as it is watched. */
  #silentMs(): number {
    const silent = this.#options.time.monotonic() - this.#heardAt;
    return silent < this.#watchMs ? this.#watchMs - silent : this.#watchMs;
  }

  get #watchMs(): number {
    const slow = this.#options.leaseMs / SLOW_PART;
    return this.#calls === 0 ? slow : Math.min(slow, CALL_WATCH_MS);
  }

  #tick(): void {
    this.#probeTimer = undefined;
    const first = this.#next - this.#unacked.length;
    if (this.#probeIsSlow && !this.heardWithin(this.#watchMs)) this.#options.doubt();
    if (this.#failed) return;
    if (this.#unacked.length === 0 || first > this.#firstThen) this.#round = 0;
    else {
      this.#round += 1;
      this.probe();
    }
    this.#arm();
  }
}

function afterTurns(turns: number, fn: () => void): void {
  if (turns === 0) fn();
  else afterTurn(() => afterTurns(turns - 1, fn));
}
