/**
 * A store like one behind a network, in this process: each view has its own kernel, all data passes as texts, and every
 * answer comes later. Faults can be injected into the trips of its writes.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { storeAway } from '../../../src/errors.ts';
import {
  type Backend,
  type DuePlace,
  type Entry,
  type Row,
  isRowWrite,
  type Write,
  type Written,
} from '../../../src/stores/kernel/backend.ts';
import { openView } from '../../../src/stores/kernel/open-view.ts';
import { entryOfTexts, entryTexts, rowOf, textsOf } from '../../../src/stores/kernel/row-texts.ts';
import { EventBudget } from '../../../src/stores/memory/event-budget.ts';
import { MemoryBackend } from '../../../src/stores/memory/memory-backend.ts';
import { MemoryMailboxes, type SharedMailboxes } from '../../../src/stores/memory/mailboxes.ts';
import type { Kind, OpenStore, Records, Store, StoreOptions } from '../../../src/stores/store.ts';

/** What happens to a trip: `lost`: its answer is; `refused`: it is not sent; `late`: it arrives again later. */
export type Fault = 'lost' | 'refused' | 'late' | undefined;

export interface TextStoreOptions {
  /** Asked for each trip. */
  fault?(): Fault;
}

class TextBackend implements Backend {
  readonly where = 'a store of texts';
  readonly #rows: MemoryBackend;
  readonly #fault: () => Fault;
  #late: (readonly Write[])[] = [];

  constructor(rows: MemoryBackend, fault: () => Fault) {
    this.#rows = rows;
    this.#fault = fault;
  }

  now(): number {
    return this.#rows.now();
  }

  async write(writes: readonly Write[]): Promise<readonly Written[]> {
    const fault = this.#fault();
    const sent = writes.map((write) => ({ ...copied(write), kind: unbounded(write.kind) }));
    await turn();
    if (fault === 'refused') throw storeAway('the connection was refused');
    for (const late of this.#late.splice(0)) this.#rows.write(late);
    const written = this.#rows.write(sent);
    if (fault !== undefined) this.#late.push(sent);
    await turn();
    if (fault === 'lost') throw storeAway('the answer was lost');
    return written;
  }

  async read(kind: Kind, id: string): Promise<Row | undefined> {
    await turn();
    const row = this.#rows.read(kind, id);
    return row && copiedRow(row);
  }

  async log(kind: Kind, id: string, stream: string | null): Promise<Entry[]> {
    await turn();
    return this.#rows.log(kind, id).map((entry) => entryOfTexts(entryTexts(entry), entry.stream === stream));
  }

  async list(kind: Kind, after: string, before: string, limit: number): Promise<Row[]> {
    await turn();
    return this.#rows.list(kind, after, before, limit).map(copiedRow);
  }

  async due(kind: Kind, after: DuePlace, until: number, limit: number): Promise<Row[]> {
    await turn();
    return this.#rows.due(kind, after, until, limit).map(copiedRow);
  }

  async count(kind: Kind, after: string, before: string): Promise<number> {
    await turn();
    return this.#rows.count(kind, after, before);
  }
}

/** The memory backend drops what retention does not keep. A server does not know retention. */
const unbounded = (kind: Kind): Kind => ({ ...kind, log: false });

const copiedRow = (row: Row): Row => rowOf({ ...row, ...textsOf(row) }, 'here');

function copied(write: Write): Write {
  if (isRowWrite(write)) return { ...write, row: write.row && copiedRow(write.row) };
  const entries = write.entries.map((entry) => entryOfTexts(entryTexts(entry), true));
  return { ...write, entries };
}

interface Deployment {
  readonly rows: MemoryBackend;
  readonly mailboxes: SharedMailboxes;
}

/** Store objects on the same data. */
export function textStores({ fault = () => undefined }: TextStoreOptions = {}): () => Store {
  const deployments = new Map<string, Deployment>();
  const open = (options: StoreOptions): OpenStore => {
    const { name, time, tombstones, eventLogBytes } = options;
    const budget = new EventBudget(Infinity);
    const known = deployments.get(name) ?? {
      rows: new MemoryBackend({ time, tombstones, eventLogBytes, budget }),
      mailboxes: new Map(),
    };
    deployments.set(name, known);
    const backend = new TextBackend(known.rows, fault);
    return openView({ backend, mailboxes: () => new MemoryMailboxes(known.mailboxes) }, options);
  };
  return () => ({ kind: 'texts', durable: true, inProcess: true, open });
}

/** The records of a caller that tries again for as long as the store is away. */
export function patient(store: Store): Store {
  const retrying = (records: Records): Records =>
    new Proxy(records, {
      get: (of, name) => {
        const method = of[name as keyof Records] as unknown as (...args: unknown[]) => unknown;
        return async (...args: unknown[]) => {
          for (;;) {
            try {
              return await method.apply(of, args);
            } catch (error) {
              if ((error as { code?: unknown }).code !== 'STORE_AWAY') throw error;
            }
          }
        };
      },
    });
  const open = async (options: StoreOptions): Promise<OpenStore> => {
    const view = await store.open(options);
    return { ...view, records: (kind) => retrying(view.records(kind)) };
  };
  return { ...store, open };
}
