/** What happened to this instance and to its store in the last hour: the newest of it. */
import type { EmittedNotice } from '../../observe/notices.ts';
import type { TimeProvider } from '../../types.ts';
import type { FleetEvent } from '../wire.ts';

const EVENTS = 200;
const HOUR_MS = 3_600_000;
/** Sessions that continue here within this time are one event. */
const MOVED_MS = 5_000;

/** An event before it has its sentence: the instance that answers knows what the others are called. */
export interface NotedEvent {
  readonly id: string;
  readonly at: number;
  readonly kind: FleetEvent['kind'];
  /** The instance that it is about. */
  readonly instance?: string;
  /** The instance that saw it. */
  readonly by: string;
  /** How its process ended, where that is known. */
  readonly end?: 'killed' | 'crashed';
  readonly ms?: number;
  count?: number;
  readonly interrupted?: number;
  /** Rises with each change. */
  change: number;
}

export class FleetEvents {
  readonly #time: Required<TimeProvider>;
  readonly #self: { readonly id: string };
  readonly #events: NotedEvent[] = [];
  #noted = 0;
  #change = 0;

  /** `self`: the lease of this instance. */
  constructor(time: Required<TimeProvider>, self: { readonly id: string }) {
    this.#time = time;
    this.#self = self;
  }

  /** Those that were noted or changed after `change`, oldest first. */
  since(change: number): readonly NotedEvent[] {
    const oldest = this.#time.now() - HOUR_MS;
    return this.#events.filter((event) => event.change > change && event.at >= oldest);
  }

  get change(): number {
    return this.#change;
  }

  note(notice: EmittedNotice): void {
    switch (notice.kind) {
      case 'leaseLapsed':
        return this.#add({ kind: 'lapsed', instance: notice.instance });
      case 'leaseRemoved':
        return this.#add({ kind: 'gone', instance: notice.instance });
      case 'storeAway':
        return this.#add({ kind: 'storeAway' });
      case 'storeBack':
        return this.#add({ kind: 'storeBack', ms: Math.round(notice.ms) });
      case 'drainBegun':
        return this.#add({ kind: 'draining', instance: this.#self.id });
      case 'drained': {
        const { released: count, interrupted, ms } = notice;
        return this.#add({ kind: 'drained', instance: this.#self.id, count, interrupted, ms: Math.round(ms) });
      }
      case 'restored':
        return notice.cause === 'takeover' && notice.from !== undefined ? this.#moved(notice.from) : undefined;
      default:
        return undefined;
    }
  }

  #moved(from: string): void {
    const now = this.#time.now();
    const before = this.#events.findLast(({ kind, at }) => kind === 'moved' && now - at < MOVED_MS);
    if (before === undefined || before.instance !== from) return this.#add({ kind: 'moved', instance: from, count: 1 });
    before.count = (before.count ?? 0) + 1;
    before.change = ++this.#change;
  }

  #add(event: Omit<NotedEvent, 'id' | 'at' | 'by' | 'change'>): void {
    const by = this.#self.id;
    this.#events.push({ ...event, id: `${by}.${++this.#noted}`, at: this.#time.now(), by, change: ++this.#change });
    if (this.#events.length > EVENTS) this.#events.shift();
  }
}

/** The sentence of an event. `nameOf`: what an instance is called. */
export function sentenceOf(event: NotedEvent, nameOf: (instance: string) => string): string {
  const { kind, count = 0, ms = 0, interrupted = 0 } = event;
  const name = event.instance === undefined ? 'An instance' : nameOf(event.instance);
  const by = nameOf(event.by);
  const sessions = `${count.toLocaleString('en')} ${count === 1 ? 'session' : 'sessions'}`;
  const time = ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`;
  switch (kind) {
    case 'joined':
      return `${name} joined`;
    case 'draining':
      return `${name} drains: it hands its sessions to other instances`;
    case 'drained':
      return `${name} has drained: ${sessions} in the store, ${interrupted} interrupted calls, ${time}`;
    case 'gone':
      if (event.end !== undefined) return `${name} ${event.end === 'killed' ? 'was killed' : 'crashed'}`;
      return `${name} is gone: its lease was removed`;
    case 'lapsed':
      return `The lease of ${name} ran out`;
    case 'storeAway':
      return `${by} cannot reach the store: calls that need it wait`;
    case 'storeBack':
      return `${by} reaches the store again, after ${time}`;
    case 'moved':
      return `${sessions} of ${name} ${count === 1 ? 'continues' : 'continue'} on ${by}`;
    case 'other':
      return `${name} has left`;
  }
}
