/**
 * The figures of the instances in the store: a record each, by the id of its lease. An instance writes its own with
 * each renewal of its lease, and reads those of others when a page asks.
 */
import type { ShownEndpoint } from './shown-endpoint.ts';
import { isEnded } from '../../stores/store.ts';
import type { Figures, InstanceFigures } from './instance-figures.ts';

/** The format of the JSON. What another build wrote is not read. */
const VERSION = 1;
/** An instance that was killed is shown for so long. */
const KEPT_MS = 120_000;

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
    const { id } = instance.lease;
    const [fields, began] = [{ figures: this.#own.text() }, time.monotonic()];
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

  /** `undefined`: the instance has no dashboard, or another build of it. */
  async read(id: string): Promise<Figures | undefined> {
    const found = await this.#endpoint.store.figures.read(id);
    if (found === undefined || isEnded(found) || found.v !== VERSION) return undefined;
    return JSON.parse(found.fields['figures'] ?? '') as Figures;
  }
}
