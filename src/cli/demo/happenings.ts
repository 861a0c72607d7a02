/**
 * What happened, as the demo saw it: the log, where each session is live, and the last interruption with the calls that
 * it delayed or ended. All times are measured: of orders when they were given, of notices when they arrived here.
 */
import type { Notice } from '../../index.ts';
import type { DemoInstance } from './instance-process.ts';
import type { ScriptedClient, Waited } from './scripted-client.ts';
import { duration, listed, times } from './sentences.ts';

export interface LogEntry {
  /** ms since the demo counts. */
  readonly at: number;
  readonly text: string;
}

export type Cause = 'killed' | 'frozen' | 'drained' | 'ended' | 'store';

export interface Interruption {
  readonly cause: Cause;
  /** The instance; of the store `undefined`. */
  readonly instance: string | undefined;
  /** Its beginning, as `performance.now()`. */
  readonly at: number;
  /** The clients whose sessions were live there. */
  readonly clients: readonly string[];
  /** Where these continue, in the order of their arrival. */
  readonly continued: Map<string, string>;
  /** Calls that waited and have ended. */
  readonly waits: number[];
  /** Calls that client code saw fail. */
  lost: number;
  /** When it was over: the instance ran again, or the store answered. */
  until: number | undefined;
}

/** Where a session is. */
interface Place {
  /** The instance where it is live; `undefined`: in the store alone. */
  instance: string | undefined;
  /** It came there after the last interruption. */
  moved: boolean;
}

/** A call waits if an interruption may delay it and it takes so much longer than all but a few took before. */
const LONGER_MS = 40;
/** The same for a call that no interruption delays. */
const LONGER_ALWAYS_MS = 250;
const USUAL_OF = 100;
const USUAL_SHARE = 0.95;
/** Calls that begin so long after an interruption are delayed by it; a frozen instance delays them until it is out. */
const DELAYS_MS = 1_000;
const FROZEN_DELAYS_MS = 4_000;

const LOG_LINES = 200;
const TOGETHER_MS = 200;

/** Things that happen together are one line of the log. */
class Together {
  readonly #say: (parts: readonly string[]) => void;
  #parts: string[] = [];

  constructor(say: (parts: readonly string[]) => void) {
    this.#say = say;
  }

  add(part: string): void {
    if (this.#parts.push(part) > 1) return;
    setTimeout(() => this.#say(this.#parts.splice(0)), TOGETHER_MS).unref();
  }
}

export class Happenings {
  readonly #began = performance.now();
  readonly #log: LogEntry[] = [];
  readonly #places = new Map<string, Place>();
  readonly #clientOf = new Map<string, string>();
  readonly #leases = new Map<string, string>();
  readonly #written: (entry: LogEntry) => void;
  #last: Interruption | undefined;
  readonly #continued = new Together((parts) =>
    this.say(`${times(parts.length, 'session')} ${parts.length === 1 ? 'continues' : 'continue'}: ${parts.join(', ')}`),
  );
  readonly #fenced = new Together((parts) =>
    this.say(`${times(parts.length, 'old session')} moved on and cannot write any more: ${parts.join(', ')}`),
  );
  readonly #durations: number[] = [];
  #usualMs = LONGER_ALWAYS_MS;
  /** Waits of the last interruption that the log has. */
  #logged = 0;

  /** `written` gets each entry of the log. */
  constructor(written: (entry: LogEntry) => void) {
    this.#written = written;
  }

  get ms(): number {
    return performance.now() - this.#began;
  }

  /** The newest first. */
  get log(): readonly LogEntry[] {
    return this.#log;
  }

  get last(): Interruption | undefined {
    return this.#last;
  }

  /** The sessions of the clients: where each is. */
  get places(): ReadonlyMap<string, Readonly<Place>> {
    return this.#places;
  }

  say(text: string): void {
    const entry = { at: this.ms, text };
    this.#log.unshift(entry);
    this.#log.length = Math.min(this.#log.length, LOG_LINES);
    this.#written(entry);
  }

  /** An interruption begins. `instance`: whose sessions are no longer live. */
  interrupted(cause: Cause, instance?: string): void {
    const clients = [...this.#places].flatMap(([client, place]) => (place.instance === instance ? [client] : []));
    for (const place of this.#places.values()) place.moved = false;
    if (cause === 'killed' || cause === 'ended') {
      for (const place of this.#places.values()) if (place.instance === instance) place.instance = undefined;
    }
    const at = performance.now();
    this.#last = { cause, instance, at, clients, continued: new Map(), waits: [], lost: 0, until: undefined };
    this.#logged = 0;
  }

  over(cause: Cause, instance?: string): void {
    const last = this.#last;
    if (last?.cause === cause && last.instance === instance) last.until ??= performance.now();
  }

  /** A call that began at `from` and takes longer than this waits. */
  longMs(from: number): number {
    return this.#usualMs + (this.#delays(from) ? LONGER_MS : LONGER_ALWAYS_MS);
  }

  /** A call of one of the sides was answered without a wait. */
  answered(ms: number): void {
    this.#durations.push(ms);
    if (this.#durations.length < USUAL_OF) return;
    this.#usualMs = this.#durations.toSorted((a, b) => a - b)[Math.floor(USUAL_OF * USUAL_SHARE)] ?? 0;
    this.#durations.splice(0, USUAL_OF / 2);
  }

  waited({ ms, from, at }: Waited): void {
    const last = this.#last;
    if (last !== undefined && at > last.at && this.#delays(from)) last.waits.push(ms);
  }

  /** Whether the last interruption may delay a call that begins at `from`. */
  #delays(from: number): boolean {
    const last = this.#last;
    if (last === undefined) return false;
    if (from < last.at) return true;
    const until = last.cause === 'store' ? (last.until ?? Infinity) : last.at;
    return from < until + (last.cause === 'frozen' ? FROZEN_DELAYS_MS : DELAYS_MS);
  }

  lost(): void {
    if (this.#last !== undefined) this.#last.lost += 1;
  }

  /** Called when no call waits: the waits since the last time become a line of the log. */
  allAnswered(): void {
    const waits = this.#last?.waits.slice(this.#logged).toSorted((a, b) => a - b) ?? [];
    if (waits.length === 0) return;
    this.#logged += waits.length;
    const shown = waits.length > 4 ? [waits[0] ?? 0, waits.at(-1) ?? 0] : waits;
    const text = shown.map(duration);
    this.say(
      `${times(waits.length, 'call')} had waited, and took ${waits.length > 4 ? text.join(' to ') : listed(text)}`,
    );
  }

  /** A session belongs to a client. */
  knows(client: ScriptedClient): void {
    if (client.sessionId !== undefined) this.#clientOf.set(client.sessionId, client.name);
  }

  /** What the endpoint of an instance noticed. */
  noticed({ name, pid }: DemoInstance, notice: Notice): void {
    switch (notice.kind) {
      case 'joined':
        this.#leases.set(notice.instance, name);
        if (notice.before !== undefined) this.say(`${name} has a lease again, under a new id`);
        else if (this.#last !== undefined) this.say(`${name} joins (pid ${pid ?? '–'})`);
        return;
      case 'leaseRemoved':
        return this.#leaseRemoved(name, this.#leases.get(notice.instance));
      case 'leaseLapsed':
        return this.say(`the lease of ${name} ran out: its sessions wait, or continue elsewhere`);
      case 'opened': {
        const client = notice.clientInfo.name;
        this.#clientOf.set(notice.sessionId, client);
        this.#places.set(client, { instance: name, moved: false });
        return;
      }
      case 'restored':
        return this.#restored(name, notice.sessionId);
      case 'released':
      case 'fenced':
        return this.#left(name, notice.kind, notice.sessionId);
      case 'drained':
        return this.say(
          `${name} has drained in ${Math.round(notice.ms)} ms: ${times(notice.released, 'session')} handed over`,
        );
      default:
    }
  }

  #leaseRemoved(by: string, of: string | undefined): void {
    const last = this.#last;
    if (of === undefined || last?.instance !== of) return;
    this.say(`${by} noticed after ${duration(performance.now() - last.at)} and removed the lease of ${of}`);
  }

  #restored(name: string, sessionId: string): void {
    const client = this.#clientOf.get(sessionId);
    if (client === undefined) return;
    const before = this.#places.get(client)?.instance;
    this.#places.set(client, { instance: name, moved: before !== name });
    if (this.#last === undefined) return;
    this.#last.continued.set(client, name);
    this.#continued.add(`${client} on ${name}`);
  }

  #left(name: string, kind: 'released' | 'fenced', sessionId: string): void {
    const client = this.#clientOf.get(sessionId);
    const place = client === undefined ? undefined : this.#places.get(client);
    if (kind === 'fenced') this.#fenced.add(`${client ?? '–'} of ${name}`);
    if (place?.instance === name) place.instance = undefined;
  }
}
