/** Which instances of a world have been well for so long that each owns what it runs, under its new id too. */
import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

const WELL_MS = 2_000;
const WATCH_MS = 20;

export class WellInstances {
  readonly #world: World;
  /** Since when an instance is well under the id that it has. */
  readonly #well = new Map<SimProcess, { readonly id: string; readonly since: number }>();

  constructor(world: World) {
    this.#world = world;
  }

  has(process: SimProcess): boolean {
    const since = this.#well.get(process)?.since ?? Infinity;
    return process.state === 'running' && this.#world.now - since > WELL_MS;
  }

  watch(): void {
    const { slots, now, storeDown, cutOff, scheduler } = this.#world;
    for (const instance of slots) {
      if (instance === undefined) continue;
      const { process, core } = instance;
      const lease = core?.instance.lease;
      const isWell =
        process.state === 'running' &&
        lease?.valid === true &&
        this.#world.isAlive(lease.id) &&
        !storeDown &&
        !cutOff.has(process);
      if (!isWell) this.#well.delete(process);
      else if (this.#well.get(process)?.id !== lease.id)
        this.#well.set(process, { id: lease.id, since: now });
    }
    scheduler.after(WATCH_MS, () => this.watch());
  }
}
