/** A case of the store contract: what it needs, and what it does on a machine that stalls. */
import { USUAL_DEPLOYMENT, type StoreKit } from './store-kit.ts';

/** What only some stores have. A test skips a case that needs it by name, with the reason. */
export type StoreNeed =
  /** A lease that is not renewed expires by the store's clock. */
  | 'lease-expiry'
  /** `pass` takes a negative time: the test moves the store's clock, and can set it back. */
  | 'clock-set-back'
  /** The test freezes the store's server: `StoreUnderTest.outage`. */
  | 'outage'
  /** The test counts what the store holds: `StoreUnderTest.entries`. */
  | 'entries';

export interface StoreCase {
  /** Stable, for skips and reports: `claim/wrong-epoch`. */
  readonly id: string;
  /** A sentence. */
  readonly title: string;
  readonly needs?: StoreNeed;
  run(kit: StoreKit): Promise<void>;
}

/** A case; `name` is its id and its title, with a colon between. */
export function test(name: string, run: StoreCase['run']): StoreCase {
  const colon = name.indexOf(': ');
  return { id: name.slice(0, colon), title: name.slice(colon + 2), run };
}

export const needing = (needs: StoreNeed, cases: readonly StoreCase[]): readonly StoreCase[] =>
  cases.map((one) => ({ ...one, needs }));

/** A case whose steps must happen {@link inTime}. */
export const timedTest = (name: string, run: StoreCase['run']): StoreCase => test(name, inTime(run));

/** Long enough for a few requests to a server, short enough to wait for. */
export const SHORT_MS = 600;
/** `SHORT_MS` plus the possible delay of a clock. */
export const PAST_SHORT_MS = 800;

/** A run of a case that took longer, with the opening of its views, shows nothing about the store if it failed. */
const SLOW_MS = SHORT_MS / 3;
/** After this time a case is not run again. A machine that stalls often needs many runs until one is in time. */
const LONGEST_MS = 60_000;

/**
 * Wraps a case whose steps must happen within `SHORT_MS`. A run on a machine that stalled shows nothing about the
 * store: if it failed and took too long, it runs again, in other deployments. `now`: a monotonic clock, in ms.
 */
export function inTime(run: StoreCase['run'], now: () => number = () => performance.now()): StoreCase['run'] {
  return async (kit) => {
    const first = now();
    for (let tries = 1; ; tries++) {
      const began = now();
      let passed = 0;
      const timed: StoreKit = {
        ...kit,
        open: ({ deployment = USUAL_DEPLOYMENT, ...more } = {}) =>
          kit.open({ ...more, deployment: `${deployment}${tries}` }),
        pass: (ms) => {
          passed += ms;
          return kit.pass(ms);
        },
      };
      try {
        return await run(timed);
      } catch (error) {
        const ended = now();
        if (ended - began - passed < SLOW_MS || ended - first >= LONGEST_MS) throw error;
      }
      // Views have connections, and a server takes a limited number.
      await kit.close();
    }
  };
}
