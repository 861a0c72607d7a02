/**
 * One end of the connection between two instances. Each item pushed at one end arrives at the other end once and in
 * order, over mailboxes that may lose, duplicate and delay messages. Items are numbered in both directions.
 *
 *     open ──fail()──▶ failed        an id is dead, or its lease lapsed: nothing is sent or taken
 *
 * Unacknowledged items are probed after 10 ms, then every 20 ms for 200 ms, then every third of the lease time. A probe
 * states which item its sender expects next, and its answer states the same for the other side. Each side resends from
 * the item that the other expects. While something is held open on the link, a silent peer is checked: every third of
 * the lease time, or after 100 ms where a call waits for its answer. A peer that is heard is checked once in a lease
 * time.
 *
 * A dead id is never used again. So two ids have exactly one link, and neither end restarts it.
 */
import { afterTurn } from '../base/system.ts';
import type { TimeProvider } from '../types.ts';
import { LINK_VERSION, type LinkItem, type LinkMessage } from './messages.ts';
import { PeerSigns } from './peer-signs.ts';

export interface LinkOptions {
  readonly peer: string;
  readonly time: Required<TimeProvider>;
  readonly leaseMs: number;
  /** How long what was sent may stay unanswered. */
  readonly patienceMs: number;
  send(message: LinkMessage): void;
  receive(item: LinkItem): void;
  /** The peer has been silent for long, or its lease was not seen for a lease time: check whether it is alive. */
  onDoubt(): void;
}

interface Pending {
  readonly item: LinkItem;
  readonly bytes: number;
  readonly taken: (() => void) | undefined;
}

/** Delay of acknowledgements, shorter than the first probe. A message that is pushed within it carries it. */
const ACK_MS = 5;
const FIRST_PROBE_MS = 10;
const QUICK_PROBE_MS = 20;
const QUICK_PROBES = 10;
const SLOW_PART = 3;
/** How long a client's call may wait in silence before the link checks whether the owner is alive. */
const CALL_WATCH_MS = 100;
/**
 * Undelivered bytes to one peer. Above it calls wait, and so do the events of logged streams (in the `AppendQueue` of
 * each). Any other stream with more than `streamBufferBytes` among them is cut; above twice as much every other stream
 * that keeps writing in later turns is cut.
 */
export const CREDIT_BYTES = 8_388_608;

export class Link {
  readonly peer: string;
  readonly #options: LinkOptions;
  readonly #signs: PeerSigns;
  #failed = false;
  // ——— outgoing ———
  #next = 0;
  #unacked: Pending[] = [];
  #unackedBytes = 0;
  /** How many of the unacknowledged items were sent, whether they arrived or not. */
  #sent = 0;
  #flushing = false;
  #waiting: Array<() => void> = [];
  // ——— incoming ———
  #expected = 0;
  #owesAck = false;
  #ackDue = false;
  #ackTimer: unknown;
  /** The probe to answer with the next message. */
  #asked: number | undefined;
  // ——— probes ———
  #held = 0;
  /** Calls among the holds: they wait for an answer. */
  #calls = 0;
  #probeTimer: unknown;
  #probeDue = 0;
  #probeIsSlow = false;
  #round = 0;
  #probe = 0;
  /** The newest of these probes that the peer answered, and its own newest probe. */
  #answered = 0;
  #probed = 0;
  /** The newest of these probes when items were last sent again. */
  #resentAt = 0;
  /** The first unacknowledged item when the timer was set. */
  #firstThen = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#signs = new PeerSigns(options);
    this.peer = options.peer;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** What the messages of the peer and its lease show about it. */
  get peerSigns(): Pick<PeerSigns, 'heardWithin' | 'sawLease' | 'leaseSeen' | 'unansweredMs' | 'wasAnswered'> {
    return this.#signs;
  }

  /** Messages to the peer, or its answers, do not pass. */
  get stuck(): boolean {
    return this.#signs.unansweredMs >= this.#options.patienceMs;
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
    this.#signs.asked();
    this.#next += 1;
    this.#unacked.push({ item, bytes, taken });
    this.#unackedBytes += bytes;
    this.#flushSoon();
  }

  /** Replaces an item that the peer has not acknowledged. `false`: there is no such item. */
  replace(item: LinkItem, by: LinkItem, bytes: number): boolean {
    const at = this.#unacked.findIndex((pending) => pending.item === item);
    const pending = this.#unacked[at];
    if (pending === undefined) return false;
    this.#unacked[at] = { item: by, bytes, taken: undefined };
    this.#unackedBytes += bytes - pending.bytes;
    this.#release();
    return true;
  }

  /** Resolves when `bytes` more may be pushed, or the link has failed. */
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

  receive(message: LinkMessage): void {
    if (this.#failed) return;
    const { first, items, probe, re } = message;
    const probes = probe !== undefined && probe > this.#probed;
    const answers = re !== undefined && re > this.#answered && re <= this.#probe;
    const brings = first <= this.#expected && first + items.length > this.#expected;
    const acknowledges = this.#acknowledged(message.ack);
    if (acknowledges || answers) this.#signs.answered(this.#unacked.length > 0);
    else if (probes || brings) this.#signs.heard();
    let asked = false;
    for (const [n, item] of items.entries()) {
      // An earlier item is missing. The peer resends it, and this item after it.
      if (first + n > this.#expected) break;
      if (this.repeats(first + n)) continue;
      this.#expected = Math.max(this.#expected, first + n + 1);
      asked ||= isQuestion(item);
      this.#options.receive(item);
      if (this.#failed) return;
    }
    if (items.length > 0) this.#oweAck(asked);
    if (probes) {
      this.#probed = this.#asked = probe;
      this.#flushSoon();
    }
    if (!answers) return;
    this.#answered = re;
    // The peer has the probe and lacks items that were sent before. An answer may take longer than the next probe.
    if (re > this.#resentAt && this.#sent > 0) {
      this.#sent = 0;
      this.#resentAt = this.#probe;
      this.#flushSoon();
    }
  }

  /** Whether an item with this number arrived before. */
  repeats(no: number): boolean {
    return no < this.#expected;
  }

  /** Every further probe is a quick one, because this instance is about to leave. */
  hurry(): void {
    this.#round = -Infinity;
    this.probe();
    this.#arm();
  }

  /** Asks for an acknowledgement now. */
  probe(): void {
    this.#signs.asked();
    this.#probe += 1;
    this.#send([], this.#probe);
  }

  fail(): void {
    if (this.#failed) return;
    this.#failed = true;
    for (const timer of [this.#ackTimer, this.#probeTimer]) this.#options.time.clearTimeout(timer);
    this.#unacked = [];
    this.#unackedBytes = 0;
    this.#release();
  }

  /** Whether the peer has taken items that it had not acknowledged before. */
  #acknowledged(ack: number): boolean {
    const first = this.#next - this.#unacked.length;
    const count = ack - first;
    if (count <= 0 || count > this.#unacked.length) return false;
    const taken = this.#unacked.splice(0, count);
    this.#sent = Math.max(0, this.#sent - count);
    for (const { bytes } of taken) this.#unackedBytes -= bytes;
    for (const pending of taken) pending.taken?.();
    if (this.#waiting.length > 0) this.#release();
    return true;
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
      const due = (): void => {
        this.#ackDue = false;
        if (this.#owesAck) this.#flush();
      };
      // An answer to a question that is pushed within two turns carries the acknowledgement.
      afterTurn(() => afterTurn(due));
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
    const left = isSlow ? this.#watchMs - this.#signs.silentMs : quick;
    const ms = left > 0 ? left : this.#watchMs;
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

  get #watchMs(): number {
    const slow = this.#options.leaseMs / SLOW_PART;
    return this.#calls === 0 ? slow : Math.min(slow, CALL_WATCH_MS);
  }

  #tick(): void {
    this.#probeTimer = undefined;
    const first = this.#next - this.#unacked.length;
    if (this.#probeIsSlow && !(this.#signs.leaseSeen && this.#signs.heardWithin(this.#watchMs)))
      this.#options.onDoubt();
    if (this.#failed) return;
    if (this.#unacked.length === 0 || first > this.#firstThen) {
      this.#round = 0;
      // Its answer shows that messages pass in both directions.
      if (this.#unacked.length === 0 && !this.#signs.heardWithin(this.#options.leaseMs)) this.probe();
    } else {
      this.#round += 1;
      this.probe();
    }
    this.#arm();
  }
}

/** Whether its sender expects an answer besides the acknowledgement. */
function isQuestion({ t }: LinkItem): boolean {
  return t === 'call';
}
