/** A safety rule, taken away: the checker finds out. What stays as it is proves that it was the rule. */
import { expect } from 'vitest';
import { OwnerDirectory, type OwnerState } from '../../src/cluster/owner-directory.ts';

export interface Ablation<Options> {
  readonly rule: string;
  /** What its absence looks like. */
  readonly shows: RegExp;
  /** The worlds in which few seeds show it. */
  readonly within: Options;
  /** What those worlds are without the rule. */
  readonly without: Options;
  /** One of so many seeds (60) shows it, from `from` (0) on: earlier ones show nothing, and take their time. */
  readonly seeds?: number;
  readonly from?: number;
  /** Takes the rule out of the code; returns how to put it back. */
  readonly patch?: () => () => void;
}

type Run<Options> = (
  seed: number,
  options: Options,
) => Promise<{ readonly violations: readonly string[] }>;

export async function proves<Options extends object>(
  run: Run<Options>,
  ablation: Ablation<Options>,
): Promise<void> {
  const { shows, within, without, patch, seeds = 60, from = 0 } = ablation;
  const putBack = patch?.();
  let seed = from;
  let found: readonly string[] = [];
  try {
    while (seed < from + seeds && found.length === 0) {
      const { violations } = await run(seed++, { ...within, ...without });
      found = violations.filter((violation) => shows.test(violation));
    }
  } finally {
    putBack?.();
  }
  expect(found, `in ${seeds} seeds from ${from}`).not.toEqual([]);
  for (let again = from; again < seed; again++)
    expect([again, (await run(again, within)).violations]).toEqual([again, []]);
}

/** Another method in place of one of a class; returns how to put it back. */
export function patched<T extends object, K extends keyof T>(
  of: T,
  name: K,
  other: (original: T[K]) => T[K],
) {
  return (): (() => void) => {
    const original = of[name];
    of[name] = other(original);
    return () => {
      of[name] = original;
    };
  };
}

/** Owners in this state are taken for dead. */
const takenForDead = (taken: OwnerState) =>
  patched(
    OwnerDirectory.prototype,
    'ownerOf',
    (ownerOf) =>
      async function (this: OwnerDirectory, record, how) {
        const state = await ownerOf.call(this, record, how);
        return state === taken ? 'dead' : state;
      },
  );

/** Without the rule that what a living instance owns is its own. */
export const ownersAreDead = takenForDead('alive');

/** Without the rule that an owner may return from an outage. */
export const returningAreDead = takenForDead('returning');

/** Several patches as one. */
export const together =
  (...patches: ReadonlyArray<() => () => void>) =>
  (): (() => void) => {
    const putBack = patches.map((patch) => patch());
    return () => putBack.forEach((one) => one());
  };
