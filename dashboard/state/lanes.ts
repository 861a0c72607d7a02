/** The rows of the Fleet view: one for each name, with the process that has it now or had it last. */
import type { FleetSnapshot, FleetInstance, StoppedInstance } from '../../src/dashboard/wire.ts';

/** A lane whose process is gone is shown so long, unless another process takes its name. */
const SHOWN_MS = 75_000;

export interface Lane {
  readonly name: string;
  readonly instance: FleetInstance;
  /** When the page first saw its process gone. */
  readonly goneAt: number | undefined;
}

export class Lanes {
  #lanes: readonly Lane[] = [];

  get all(): readonly Lane[] {
    return this.#lanes;
  }

  /** A server that did not know an instance while it lived may know how it ended, as others saw it. */
  with(stops: readonly StoppedInstance[]): readonly Lane[] {
    return this.#lanes.map((lane) => {
      const { id, state, end } = lane.instance;
      const seen =
        state === 'gone' && end === undefined ? stops.find(({ instance }) => instance === id)?.end : undefined;
      return seen === undefined ? lane : { ...lane, instance: { ...lane.instance, end: seen } };
    });
  }

  add({ at, instances }: FleetSnapshot): void {
    const newest = new Map<string, FleetInstance>();
    for (const instance of instances) {
      const present = newest.get(instance.name);
      if (present === undefined || present.state === 'gone') newest.set(instance.name, instance);
    }
    const kept = this.#lanes.flatMap((lane) => this.#next(lane, newest.get(lane.name), at) ?? []);
    const names = new Set(kept.map(({ name }) => name));
    const added = [...newest.values()].filter(({ name, state }) => !names.has(name) && state !== 'gone');
    this.#lanes = [...kept, ...added.map((instance) => ({ name: instance.name, instance, goneAt: undefined }))];
  }

  /** A server that restarted knows nothing of instances that left before: the lane ends as `gone`. */
  #next(lane: Lane, found: FleetInstance | undefined, at: number): Lane | undefined {
    const instance = found ?? { ...lane.instance, state: 'gone' };
    if (instance.state !== 'gone') return { ...lane, instance, goneAt: undefined };
    const goneAt = instance.since ?? lane.goneAt ?? at;
    return at - goneAt > SHOWN_MS ? undefined : { ...lane, instance, goneAt };
  }
}
