/** Who lives, by the store's clock. An id that is dead stays dead. */
import type { InstanceLease } from '../../src/stores/store.ts';
import type { StoreRules } from './store-rules.ts';

interface HeldLease {
  readonly lease: InstanceLease;
  readonly ends: number;
}

export interface LeasesOptions {
  now(): number;
  readonly leaseMs: number;
  readonly rules: StoreRules;
}

export class Leases {
  readonly #options: LeasesOptions;
  #held = new Map<string, HeldLease>();
  /** Also those that a rollback took away. */
  readonly #announced = new Set<string>();
  #stamps = 0;
  /** Whether a mailbox is open for an id; only the ablation that takes suspicion for death asks. */
  listens: (id: string) => boolean = () => true;

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** `false`: announced before. */
  announce(lease: InstanceLease): boolean {
    if (this.#announced.has(lease.id)) return false;
    this.#announced.add(lease.id);
    this.#put(lease);
    return true;
  }

  renew(id: string, state: InstanceLease['state']): boolean {
    const held = this.#held.get(id);
    if (held !== undefined && (held.ends > this.#options.now() || !this.#options.rules.finalDeath))
      this.#put({ ...held.lease, state });
    else if (!this.#options.rules.finalDeath && this.#announced.has(id)) this.#put({ id, state, version: 'revived' });
    else return false;
    return true;
  }

  get(id: string): InstanceLease | undefined {
    return this.alive(id) ? this.#held.get(id)?.lease : undefined;
  }

  all(): InstanceLease[] {
    return [...this.#held.values()].filter(({ lease }) => this.alive(lease.id)).map(({ lease }) => lease);
  }

  alive(id: string): boolean {
    const held = this.#held.get(id);
    const { now, rules } = this.#options;
    if (held === undefined) return false;
    if (held.ends > now()) return rules.burial || this.listens(id);
    // It stays dead, also when the clock is set back.
    if (rules.finalDeath) this.#held.delete(id);
    return false;
  }

  bury(seen: InstanceLease): boolean {
    const now = this.get(seen.id);
    if (now === undefined) return false;
    const changed = now.state !== seen.state || (seen.stamp !== undefined && now.stamp !== seen.stamp);
    return (!changed || !this.#options.rules.burial) && this.#held.delete(seen.id);
  }

  leave(id: string): void {
    this.#held.delete(id);
  }

  /** Calling what it returns brings back what there is now. */
  snapshot(): () => void {
    const held = new Map(this.#held);
    return () => {
      this.#held = held;
    };
  }

  #put(lease: InstanceLease): void {
    const { now, leaseMs } = this.#options;
    this.#held.set(lease.id, {
      lease: Object.freeze({ ...lease, stamp: String(++this.#stamps) }),
      ends: now() + leaseMs,
    });
  }
}
