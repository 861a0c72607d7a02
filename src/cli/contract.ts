/**
 * `sojourn doctor <store> --contract`: runs the store contract at a store, under a scratch name that is removed
 * afterwards, also after a signal. Left out are the cases that load or freeze the server, and those that need a server
 * or a clock of their own.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { StoreCase, StoreNeed } from '../testing/contract/store-case.ts';
import type { StoreKit } from '../testing/contract/store-kit.ts';
import { Failure, reason } from './failure.ts';
import { scratchOf, type Scratch } from './scratch-store.ts';
import { STOP_SIGNALS, type SignalSource } from './shutdown.ts';

export interface ContractReport {
  readonly scratch: string;
  readonly passed: number;
  readonly failed: ReadonlyArray<{ readonly id: string; readonly title: string; readonly error: string }>;
  readonly leftOut: number;
  readonly ms: number;
}

export interface ContractRequest {
  /** `redis`, `postgres` or `sqlite`. */
  readonly kind: string;
  readonly url: string;
  readonly signals: SignalSource;
  /** Told when the scratch name is known. */
  begins(text: string): void;
}

/** Each opens a few connections, and a database may have few left. */
const AT_ONCE = 3;
/** How long the cases that a signal interrupts may take to end. */
const ENDING_MS = 10_000;

export async function runContract({ kind, url, signals, begins }: ContractRequest): Promise<ContractReport> {
  const scratch = await scratchOf(kind, url);
  const { cases, leftOut } = await casesFor(kind);
  // Nothing is written where it could not be removed.
  await scratch.remove().catch((error: unknown) => {
    throw new Failure(`--contract needs a user who may remove ${scratch.name}: ${reason(error)}`, { cause: error });
  });
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  for (const signal of STOP_SIGNALS) signals.on(signal, interrupt);
  begins(
    `runs ${cases.length} cases of the store contract under the name ${scratch.name}, ` +
      `which is removed afterwards; should this process be killed: ${scratch.byHand}`,
  );
  const began = performance.now();
  try {
    await tryOpen(scratch);
    const failed = await runCases(cases, scratch, stop.signal);
    await removed(scratch);
    if (stop.signal.aborted) throw new Failure(`interrupted; ${scratch.name} is removed`);
    const ms = performance.now() - began;
    return { scratch: scratch.name, passed: cases.length - failed.length, failed, leftOut, ms };
  } finally {
    for (const signal of STOP_SIGNALS) signals.off(signal, interrupt);
  }
}

/** Otherwise every case would fail for the same reason. */
async function tryOpen(scratch: Scratch): Promise<void> {
  const { createStoreKit } = await import('../testing/contract/store-kit.ts');
  const kit = createStoreKit({ connect: () => scratch.connect(), pass: (ms) => delay(ms) });
  try {
    await kit.open();
  } catch (error) {
    await removed(scratch);
    throw new Failure(`--contract needs a user who may make ${scratch.name}: ${reason(error)}`, { cause: error });
  } finally {
    await kit.close();
  }
}

async function removed(scratch: Scratch): Promise<void> {
  await scratch.remove().catch((error: unknown) => {
    const { name, byHand } = scratch;
    throw new Failure(`${name} is left in the store, because ${reason(error)}; remove it: ${byHand}`, { cause: error });
  });
}

async function casesFor(kind: string): Promise<{ cases: readonly StoreCase[]; leftOut: number }> {
  const { storeContract } = await import('../testing/store-contract.ts');
  const { loadCases } = await import('../testing/contract/load.ts');
  const has: readonly (StoreNeed | undefined)[] = [
    undefined,
    'lease-expiry',
    ...(kind === 'sqlite' ? [] : (['store-clock'] as const)),
  ];
  const cases = storeContract.filter((one) => has.includes(one.needs) && !loadCases.includes(one));
  return { cases, leftOut: storeContract.length - cases.length };
}

/** Resolves with the cases that failed, once no case uses the store. */
async function runCases(
  cases: readonly StoreCase[],
  scratch: Scratch,
  stop: AbortSignal,
): Promise<ContractReport['failed']> {
  const { createStoreKit } = await import('../testing/contract/store-kit.ts');
  const failed: Array<ContractReport['failed'][number]> = [];
  const open = new Set<StoreKit>();
  const waiting = [...cases];
  const connect = () => {
    stop.throwIfAborted();
    return scratch.connect();
  };
  const run = async ({ id, title, run: runCase }: StoreCase): Promise<void> => {
    const kit = createStoreKit({ connect, pass: (ms) => delay(ms, undefined, { signal: stop }) });
    open.add(kit);
    try {
      await runCase(kit);
    } catch (error) {
      if (!stop.aborted) failed.push({ id, title, error: reason(error) });
    } finally {
      await kit.close();
      open.delete(kit);
    }
  };
  const work = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined && !stop.aborted; one = waiting.shift()) await run(one);
  };
  const all = Promise.all(Array.from({ length: AT_ONCE }, work));
  const interrupted = new Promise<void>((done) => stop.addEventListener('abort', () => done(), { once: true }));
  await Promise.race([all, interrupted]);
  if (stop.aborted) {
    await Promise.race([Promise.all([...open].map((kit) => kit.close())), delay(ENDING_MS)]);
    await Promise.race([all, delay(ENDING_MS)]);
  }
  return failed;
}
