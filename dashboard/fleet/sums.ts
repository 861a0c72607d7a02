/** Values of the whole deployment. `undefined`: no instance says it. */
import type { FleetInstance } from '../../src/dashboard/wire.ts';
import { bins, fleet, lanes } from '../state/model.ts';
import { rateOf } from '../state/minute.ts';

type NumberKey = {
  [Key in keyof FleetInstance]-?: FleetInstance[Key] extends number | undefined ? Key : never;
}[keyof FleetInstance];

const sum = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0);

export const present = (): readonly FleetInstance[] =>
  (fleet.value?.instances ?? []).filter(({ state }) => state !== 'gone');

export const serving = (): readonly FleetInstance[] => present().filter(({ state }) => state === 'serving');

export const total = (key: NumberKey): number | undefined => sum(present().flatMap((one) => one[key] ?? []));

/** Sessions in the store that no instance has live. */
export function storeTotal(): number | undefined {
  const counts = fleet.value?.store.counts;
  return counts?.stored;
}

export function rate(key: 'calls' | 'sessionless' = 'calls'): number | undefined {
  const known = lanes.value.filter(({ instance }) => instance.count !== undefined);
  return sum(known.flatMap(({ name }) => rateOf(bins.value, name, key) ?? []));
}

export const isAway = (): boolean => fleet.value?.store.state === 'away';
