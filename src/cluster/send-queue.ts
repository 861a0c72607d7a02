/**
 * What one end of a link sends, by user. Users take turns of so many bytes, so one with little does not wait behind one
 * with much. The items of one user stay in order.
 *
 *     pushed ──its turn──▶ numbered ──▶ sent, again where it was lost ──▶ acknowledged
 *
 * Large items travel in parts, and at most `WINDOW_BYTES` are under way: a store takes messages of bounded size, and
 * little is sent twice.
 */
import { partsOf, takenBack, type Part } from './item-parts.ts';
import type { LinkItem } from './messages.ts';

/**
 * Undelivered bytes to one peer, in equal parts for the users that have some there. A user above its part waits with
 * further calls and with the events of logged streams; what other streams may add, `relay.ts` says.
 */
export const CREDIT_BYTES = 8_388_608;
/** Numbered and not acknowledged. */
const WINDOW_BYTES = 1_048_576;
const TURN_BYTES = 65_536;
/** Many thousands of shorter events may be stored together. */
const SHORT_BYTES = 65_536;
const PING_BYTES = 64;

interface QueuedPart extends Part {
  taken: (() => void) | undefined;
  /** What was pushed: `item`, or what it is a part of. */
  readonly of: LinkItem;
  /** `undefined`: of the link itself. */
  readonly user: QueueUser | undefined;
}

interface QueueUser {
  readonly share: string;
  /** Pushed and not acknowledged, or about to be pushed. */
  bytes: number;
  /** Not numbered. */
  readonly parts: QueuedPart[];
  /** Bytes that are left of its turn. */
  left: number;
}

/** The call `n` of a user adds so many bytes. */
export interface Writer {
  readonly n: number;
  readonly share: string;
  readonly bytes: number;
}

export class SendQueue {
  readonly #users = new Map<string, QueueUser>();
  /** Users with parts that are not numbered. The first one has its turn. */
  readonly #turns: QueueUser[] = [];
  #bytes = 0;
  #pushed = 0;
  #next = 0;
  /** The numbered items. */
  #unacked: QueuedPart[] = [];
  /** How many of them were sent, whether they arrived or not. */
  #sent = 0;
  #sentBytes = 0;

  /** Pushed and not acknowledged, of all users. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#unacked.length === 0 && this.#turns.length === 0;
  }

  get allSent(): boolean {
    return this.#sent === this.#unacked.length && this.#turns.length === 0;
  }

  /** The number of the first item that is not acknowledged. */
  get first(): number {
    return this.#next - this.#unacked.length;
  }

  /** The number of the next item that is sent. */
  get nextSent(): number {
    return this.first + this.#sent;
  }

  get lastSent(): LinkItem | undefined {
    return this.#unacked[this.#sent - 1]?.item;
  }

  push(item: LinkItem, bytes: number, share: string, taken: (() => void) | undefined): void {
    const user = this.#user(share);
    if (user.parts.length === 0) {
      user.left = TURN_BYTES;
      this.#turns.push(user);
    }
    for (const part of partsOf(item, bytes, this.#pushed++)) {
      user.parts.push({ ...part, of: item, user, taken: undefined });
      user.bytes += part.bytes;
      this.#bytes += part.bytes;
    }
    const last = user.parts.at(-1);
    if (last !== undefined) last.taken = taken;
  }

  pushPing(): void {
    const item = { t: 'ping' } as const;
    this.#number({ item, bytes: PING_BYTES, of: item, user: undefined, taken: undefined });
  }

  /** What the window has room for. */
  send(): LinkItem[] {
    const items: LinkItem[] = [];
    while (this.#sentBytes < WINDOW_BYTES) {
      if (this.#sent === this.#unacked.length) this.#number(this.#takeTurn());
      const pending = this.#unacked[this.#sent];
      if (pending === undefined) break;
      this.#sent += 1;
      this.#sentBytes += pending.bytes;
      items.push(pending.item);
    }
    return items;
  }

  /** All that is not acknowledged is sent again. */
  goBack(): void {
    this.#sent = this.#sentBytes = 0;
  }

  /** The peer expects the item `ack` next. Returns what it has taken since. */
  acknowledged(ack: number): readonly QueuedPart[] {
    const count = ack - this.first;
    if (count <= 0 || count > this.#unacked.length) return [];
    const taken = this.#unacked.splice(0, count);
    this.#sentBytes = this.#sent > count ? this.#sentBytes - bytesOf(taken) : 0;
    this.#sent = Math.max(0, this.#sent - count);
    for (const { user, bytes } of taken) this.#give(user, bytes);
    return taken;
  }

  /** These items are not sent again. The peer may have them all the same: an acknowledgement may be lost. */
  withdraw(isMeant: (item: LinkItem) => boolean): void {
    for (const part of this.#parts()) {
      if (!isMeant(part.of)) continue;
      this.#give(part.user, part.bytes - PING_BYTES);
      Object.assign(part, { item: takenBack(part.item), bytes: PING_BYTES, taken: undefined });
    }
    this.#sentBytes = bytesOf(this.#unacked.slice(0, this.#sent));
  }

  /** The call of which most bytes are here, of the user with most: the writer, or one of those that `isOpen` names. */
  largest(writer: Writer, isOpen: (n: number) => boolean): number {
    const { n, share, bytes: added } = writer;
    const calls = new Map([[n, { n, user: this.#users.get(share), bytes: added }]]);
    for (const { of, bytes, user } of this.#parts()) {
      if (of.t !== 'answer' || !isOpen(of.n)) continue;
      const call = calls.get(of.n);
      calls.set(of.n, { n: of.n, user, bytes: bytes + (call?.bytes ?? 0) });
    }
    const [most] = [...calls.values()].toSorted(
      (a, b) => (b.user?.bytes ?? 0) - (a.user?.bytes ?? 0) || b.bytes - a.bytes,
    );
    return most?.n ?? n;
  }

  /** Whether this user may push `bytes` more. An item may be larger than its part of the credit. */
  fits(share: string, bytes: number): boolean {
    const own = this.#users.get(share)?.bytes;
    const credit = CREDIT_BYTES / (this.#users.size + (own === undefined ? 1 : 0));
    return (own ?? 0) + Math.min(bytes, credit / 2) <= credit;
  }

  /** For events that are stored before they are pushed, many at once. Returns what gives the bytes back. */
  keep(share: string, bytes: number): (() => void) | undefined {
    if (bytes <= SHORT_BYTES) return undefined;
    const user = this.#user(share);
    user.bytes += bytes;
    return () => this.#charge(user, -bytes);
  }

  clear(): void {
    this.#users.clear();
    this.#turns.length = 0;
    this.#unacked = [];
    this.#bytes = 0;
  }

  *#parts(): Iterable<QueuedPart> {
    yield* this.#unacked;
    for (const { parts } of this.#turns) yield* parts;
  }

  /** The next part that gets a number. */
  #takeTurn(): QueuedPart | undefined {
    for (;;) {
      const [user] = this.#turns;
      if (user === undefined || user.left > 0) {
        const part = user?.parts.shift();
        if (user?.parts.length === 0) this.#turns.shift();
        if (user !== undefined) user.left -= part?.bytes ?? 0;
        return part;
      }
      // A part may be larger than a turn: then its user misses the next ones.
      user.left += TURN_BYTES;
      this.#turns.push(...this.#turns.splice(0, 1));
    }
  }

  #number(pending: QueuedPart | undefined): void {
    if (pending === undefined) return;
    this.#next += 1;
    this.#unacked.push(pending);
  }

  #user(share: string): QueueUser {
    let user = this.#users.get(share);
    if (user === undefined)
      this.#users.set(share, (user = { share, bytes: 0, parts: [], left: 0 }));
    return user;
  }

  #give(user: QueueUser | undefined, bytes: number): void {
    if (user === undefined) return;
    this.#bytes -= bytes;
    this.#charge(user, -bytes);
  }

  #charge(user: QueueUser, bytes: number): void {
    user.bytes += bytes;
    if (user.bytes === 0 && this.#users.get(user.share) === user) this.#users.delete(user.share);
  }
}

const bytesOf = (pending: readonly QueuedPart[]): number =>
  pending.reduce((sum, { bytes }) => sum + bytes, 0);
