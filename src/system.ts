/** The system providers: the only place of the library that reads clocks, timers and randomness itself. */
import { randomBytes } from 'node:crypto';
import type { TimeProvider } from './types.ts';

const MAX_TIMER_MS = 2 ** 31 - 1;

/** Timers are unreferenced: sockets keep a process alive, a pending sweep must not. */
export const systemTime: TimeProvider = Object.freeze({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (fn: () => void, ms: number) => {
    const timer = setTimeout(fn, Math.min(ms, MAX_TIMER_MS));
    timer.unref?.();
    return timer;
  },
  clearTimeout: (handle: unknown) => {
    clearTimeout(handle as ReturnType<typeof setTimeout>);
  },
});

/** `n` bytes nobody can guess. */
export type RandomSource = (n: number) => Uint8Array;

export const systemRandom: RandomSource = (n) => randomBytes(n);

/** Runs after every callback and microtask of the current event-loop turn. */
export function afterTurn(fn: () => void): void {
  setImmediate(fn);
}

export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}
