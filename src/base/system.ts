/**
 * The system providers. Outside `cli/` and `testing/` only this file reads clocks, timers and randomness directly, but
 * for `process.hrtime` in `stores/sqlite/clock.ts`.
 */
import { randomBytes, randomFillSync } from 'node:crypto';
import hooks from 'node:perf_hooks';
import { orUndefined } from './or-undefined.ts';
import type { TimeProvider } from './types.ts';

const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Timers are unreferenced: sockets keep a process alive, but a pending sweep must not. Work that must finish uses
 * `keepingProcess`.
 */
export const systemTime: Required<TimeProvider> = Object.freeze({
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

/** ms since 1970. */
export const processStart: number = Math.round(performance.timeOrigin);

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

export interface TurnTask {
  endTurn(): void;
  /** Handles an error that `endTurn` threw. The other tasks of the turn still run. */
  fail(cause: unknown): void;
}

let tasks: TurnTask[] = [];
let isFlushDue = false;

function flush(): void {
  isFlushDue = false;
  const due = tasks;
  tasks = [];
  for (const task of due) {
    try {
      task.endTurn();
    } catch (cause) {
      task.fail(cause);
    }
  }
}

/**
 * One shared hook at the end of each event-loop turn. A call whose handler needs no I/O is answered within the turn
 * that read it. Writing all answers of a turn together, head and body in one piece, saves one system call and one
 * wake-up of the client per answer: answers that leave one by one, each when it is complete, cost a call a quarter more
 * CPU, and with a `setImmediate` for each of them an `initialize` takes a sixth more. A call that is unanswered at the
 * end of its turn gets its head, priming event and close listener only then.
 */
export function atEndOfTurn(task: TurnTask): void {
  if (!isFlushDue) setImmediate(flush);
  isFlushDue = true;
  tasks.push(task);
}

interface ReadRequest {
  /** In the order of all. */
  readonly place: number;
  /** Handles an error that serving it threw. The other requests of the turn are still served. */
  fail(cause: unknown): void;
}

/** What this turn has read. */
let read: Array<{ readonly request: ReadRequest; serve(): void }> = [];
let lastPlace = 0;

/** Where a request is in the order of all: those of one connection are served in it, however their bodies come. */
export const nextPlace = (): number => (lastPlace += 1);

function serveRead(): void {
  const due = read.sort((a, b) => a.request.place - b.request.place);
  read = [];
  for (const { request, serve } of due) {
    try {
      serve();
    } catch (cause) {
      request.fail(cause);
    }
  }
}

/**
 * Runs `serve` with those of all other requests that this turn has read. The code on the way of a
 * request is long, and each piece of it short: a processor that has just run it for another request
 * has it in its caches. A call costs a quarter less CPU so than served as it is read.
 */
export function onceRead(request: ReadRequest, serve: () => void): void {
  if (read.length === 0) {
    setImmediate(serveRead);
    // Right behind it, so that the answers leave in the turn that has read their requests.
    setImmediate(flush);
    isFlushDue = true;
  }
  read.push({ request, serve });
}

/** Runs once what has arrived is read. Two turns: the first one may still belong to the turn that was busy. */
export function afterReading(fn: () => void): void {
  afterTurn(() => afterTurn(fn));
}

export function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** An id that a person may give to a command, which takes what begins with `-` for a flag. */
export const idText = (bytes: Uint8Array): string => base64url(bytes).replace(/^-/, '_');

/**
 * The pause before try number `tries + 1`, in ms: twice the one before, up to `longestMs`. `random` varies it by half,
 * so that instances which lost the same server do not try at the same moment.
 */
export function backoffMs(
  tries: number,
  firstMs: number,
  longestMs: number,
  random?: RandomSource,
): number {
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

/** A time by both clocks, in ms: suspending the machine stops the monotonic clock, and the wall clock can be set. */
export interface Moment {
  readonly monotonic: number;
  readonly wall: number;
}

export const momentOf = (time: Required<TimeProvider>): Moment => ({
  monotonic: time.monotonic(),
  wall: time.now(),
});

/** The time since then, in ms, by the clock that shows more. */
export function elapsedMs(time: Required<TimeProvider>, { monotonic, wall }: Moment): number {
  return Math.max(time.monotonic() - monotonic, time.now() - wall);
}

/** Settles as `work` does, unless `signal` aborts before: then it rejects with the reason. */
export function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
    if (signal.aborted) leave();
    void work.then(resolve, reject).then(() => signal.removeEventListener('abort', leave));
  });
}

/** For durations: this clock is never set back or forward. */
export const monotonicMs = (time: TimeProvider): number => time.monotonic?.() ?? time.now();

/** Resolves after `ms` by the provider's clock, or when `signal` aborts. */
export function elapse(
  time: Pick<TimeProvider, 'setTimeout'>,
  ms: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const over = (): void => {
      signal?.removeEventListener('abort', over);
      resolve();
    };
    signal?.addEventListener('abort', over);
    time.setTimeout(over, ms);
  });
}

/** Calls `work` every so many ms. Returns what stops that, which `work` may call too. */
export function every(
  time: Pick<TimeProvider, 'setTimeout' | 'clearTimeout'>,
  ms: number,
  work: () => void,
): () => void {
  let timer: unknown;
  const arm = (): void => {
    timer = time.setTimeout(() => {
      arm();
      work();
    }, ms);
  };
  arm();
  return () => time.clearTimeout(timer);
}

/** How late the event loop ran, in s. */
interface LoopDelay {
  readonly mean: number;
  readonly p99: number;
  readonly max: number;
}

export interface LoopWatch {
  /** Since the read before. `undefined`: nothing was measured. */
  read(): LoopDelay | undefined;
  stop(): void;
}

const LOOK_MS = 20;

/** Measures the delay of the event loop from now on. */
export function watchEventLoop(): LoopWatch {
  const histogram = orUndefined(() => hooks.monitorEventLoopDelay({ resolution: LOOK_MS }));
  histogram?.enable();
  // The time between two looks is in the histogram, too.
  const seconds = (ns: number): number => Math.max(0, ns / 1e9 - LOOK_MS / 1_000);
  const read = (): LoopDelay | undefined => {
    if (histogram === undefined || !(histogram.max > 0)) return undefined;
    const delay = {
      mean: seconds(histogram.mean),
      p99: seconds(histogram.percentile(99)),
      max: seconds(histogram.max),
    };
    histogram.reset();
    return delay;
  };
  return { read, stop: () => void histogram?.disable() };
}
