/** Adds the figures of this instance to its lease, once a dashboard is mounted, and times the renewals. */
import type { InstanceLease, InstanceStore, MaybePromise } from '../stores/store.ts';
import type { TimeProvider } from '../types.ts';

type LeaseStore = Pick<InstanceStore, 'announce' | 'renew' | 'leave'>;

export class LeaseFigures implements LeaseStore {
  readonly #directory: LeaseStore;
  readonly #time: Required<TimeProvider>;
  #text: (() => string) | undefined;
  #renewalMs = 0;

  constructor(directory: LeaseStore, time: Required<TimeProvider>) {
    this.#directory = directory;
    this.#time = time;
  }

  /** How long the store took for the last renewal that it answered. */
  get renewalMs(): number {
    return this.#renewalMs;
  }

  get isShown(): boolean {
    return this.#text !== undefined;
  }

  /** `text`: JSON, read for each renewal from now on. It never throws. */
  show(text: () => string): void {
    this.#text = text;
  }

  announce(lease: InstanceLease, ...rest: [Parameters<LeaseStore['announce']>[1], (() => void)?]): MaybePromise<void> {
    const figures = this.#text?.();
    return this.#directory.announce(figures === undefined ? lease : { ...lease, figures }, ...rest);
  }

  async renew(id: string, state: InstanceLease['state']): Promise<boolean> {
    const sent = this.#time.monotonic();
    const isRenewed = await this.#directory.renew(id, state, this.#text?.());
    this.#renewalMs = this.#time.monotonic() - sent;
    return isRenewed;
  }

  leave(id: string): MaybePromise<void> {
    return this.#directory.leave(id);
  }
}
