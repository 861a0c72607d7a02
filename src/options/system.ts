/** The system providers: the only place in the library that reads clocks, timers and randomness directly. */
import { randomBytes, randomFillSync } from 'node:crypto';
import type { TimeProvider } from '../types.ts';

const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Timers are unreferenced: sockets keep a process alive, but a pending sweep must not. Work that must finish uses
 * `keepingProcess`.
 */
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

/** Keeps the process alive until `work` is done. Node ends a process that has only unreferenced timers and sockets. */
export async function keepingProcess<T>(work: () => Promise<T>): Promise<T> {
  const handle = setInterval(() => {}, MAX_TIMER_MS);
  try {
    return await work();
  } finally {
    clearInterval(handle);
  }
}

/** Returns `n` unpredictable bytes. */
export type RandomSource = (n: number) => Uint8Array;

/**
 * Bytes are drawn from the system in blocks: one call per session id would cost more than the rest of creating the id.
 */
const BLOCK_BYTES = 4_096;
let block: Uint8Array = new Uint8Array(0);
let used = 0;

export const systemRandom: RandomSource = (n) => {
  if (n > BLOCK_BYTES) return randomBytes(n);
  if (used + n > block.length) {
    block = randomFillSync(new Uint8Array(BLOCK_BYTES));
    used = 0;
  }
  const bytes = block.slice(used, used + n);
  // Do not keep bytes that were handed out.
  block.fill(0, used, used + n);
  used += n;
  return bytes;
};

/** Runs after every callback and microtask of the current event-loop turn. */
export function afterTurn(fn: () => void): void {
  setImmediate(fn);
}

export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/**
 * The pause before try number `tries + 1`, in ms: twice the one before, up to `longestMs`. `random` varies it by half,
 * so that instances which lost the same server do not try at the same moment.
 */
export function backoffMs(tries: number, firstMs: number, longestMs: number, random?: RandomSource): number {
  const jitter = random === undefined ? 1 : 0.5 + (random(1)[0] ?? 0) / 256;
  return Math.min(longestMs, firstMs * 2 ** tries) * jitter;
}

/** Settles as `work` does. After `ms` it settles as `late` does, and what still comes of `work` is ignored. */
export function within<T, Late>(
  time: Pick<TimeProvider, 'setTimeout' | 'clearTimeout'>,
  ms: number,
  work: Promise<T>,
  late: () => Late,
): Promise<T | Late> {
  return new Promise((resolve, reject) => {
    const timer = time.setTimeout(() => {
      try {
        resolve(late());
      } catch (cause) {
        reject(cause);
      }
    }, ms);
    work.then(
      (value) => {
        time.clearTimeout(timer);
        resolve(value);
      },
      (cause: unknown) => {
        time.clearTimeout(timer);
        reject(cause);
      },
    );
  });
}

/** For durations: this clock is never set back or forward. */
export const monotonicMs = (time: TimeProvider): number => time.monotonic?.() ?? time.now();

/** Resolves after `ms` by the provider's clock. */
export function elapse(time: Pick<TimeProvider, 'setTimeout'>, ms: number): Promise<void> {
  return new Promise((resolve) => void time.setTimeout(resolve, ms));
}
