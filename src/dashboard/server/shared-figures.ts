/**
 * The figures of the instances in the store: a record each, by the first id of its lease. An instance writes its own
 * with each renewal of its lease, and reads those of others when a page asks. A record outlives its instance by an
 * hour, so that the next process knows what died before it began.
 */
import type { ShownEndpoint } from './shown-endpoint.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { pagesOf } from '../../base/pages.ts';
import { BUILD_VERSION } from '../../base/protocol/versions.ts';
import { thisProcess } from '../../base/this-process.ts';
import { type FoundRecord, type InstanceLease, isEnded } from '../../stores/store.ts';
import type { Figures, InstanceFigures } from './instance-figures.ts';

/** The format of the JSON. What another build wrote is not read. */
const VERSION = 1;
/** Instances that died are named for so long. */
export const KEPT_MS = 3_600_000;
const PAGE = 100;
/** Instances that are looked at: of a fleet whose processes crash again and again, some are left out. */
const MOST = 500;

/** An instance as it was when it last wrote its figures. */
export interface ToldInstance {
  readonly lease: Pick<InstanceLease, 'id' | 'version' | 'process'>;
  readonly joinedAt: number;
  /** ms since 1970, by the clock of its machine. */
  readonly at: number;
  readonly figures: Figures;
}

export class SharedFigures {
  readonly #endpoint: ShownEndpoint;
  readonly #own: InstanceFigures;
  #written: string | undefined;
  #isWriting = false;

  constructor(endpoint: ShownEndpoint, own: InstanceFigures) {
    this.#endpoint = endpoint;
    this.#own = own;
  }

  /** Never rejects. */
  async write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    const { store, instance, options } = this.#endpoint;
    const { timeProvider: time } = options;
    const { firstId: id } = instance.lease;
    const began = time.monotonic();
    const fields = { figures: this.#own.text(), about: JSON.stringify(this.#about()) };
    try {
      const own = { epoch: 1, owner: id };
      if (
        id !== this.#written ||
        (await store.figures.save(id, own, { fields, expiresInMs: KEPT_MS })) === 'fenced'
      ) {
        const texts = { user: null, head: '', body: '', fields };
        await store.figures.create(
          { v: VERSION, id, ...own, ...texts, createdAt: time.now(), stamp: 0 },
          KEPT_MS,
        );
        this.#written = id;
        await store.figures.trim();
      } else this.#own.storeTook(time.monotonic() - began);
    } catch {
      // The store is away, and the first renewal after that writes them.
    } finally {
      this.#isWriting = false;
    }
  }

  #about(): Omit<ToldInstance, 'figures'> {
    const { instance, options } = this.#endpoint;
    const { id, firstId: first } = instance.lease;
    const at = options.timeProvider.now();
    const lease = { id, version: BUILD_VERSION, process: { ...thisProcess(), first } };
    return { lease, joinedAt: lease.process.startedAt, at };
  }

  /** `id`: the first of its lease. `undefined`: the instance has no dashboard, or another build of it. */
  async read(id: string): Promise<ToldInstance | undefined> {
    return toldBy(await this.#endpoint.store.figures.read(id));
  }

  /** All that are kept, those of instances that died in the last hour included. */
  async all(): Promise<readonly ToldInstance[]> {
    const { figures } = this.#endpoint.store;
    const found: ToldInstance[] = [];
    let looked = 0;
    for await (const { records } of pagesOf((cursor) => figures.list(PAGE, cursor))) {
      found.push(...records.flatMap((record) => toldBy(record) ?? []));
      if ((looked += records.length) >= MOST) break;
    }
    return found;
  }
}

function toldBy(found: FoundRecord): ToldInstance | undefined {
  if (found === undefined || isEnded(found) || found.v !== VERSION) return undefined;
  const { figures = '', about = '' } = found.fields;
  return orUndefined(() => ({
    ...(JSON.parse(about) as Omit<ToldInstance, 'figures'>),
    figures: JSON.parse(figures) as Figures,
  }));
}
