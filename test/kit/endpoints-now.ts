/**
 * What the running test waits for, and what its endpoints do, in files that make endpoints (`stuck.ts`). Without vitest:
 * programs use it.
 */
import { inspect } from 'node:util';

export interface Explaining {
  describe(): string;
  /** The test is over. */
  forget(): void;
}

const KEY = Symbol.for('sojourn.test.waits');
const shared = globalThis as { [KEY]?: Explaining };
const LINES = 10;

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

/** Of the running test, in the order in which they were made. */
const logs: Array<readonly Line[]> = [];

export const keepLog = (lines: readonly Line[]): void => void logs.push(lines);

const logsNow = (): string[] =>
  logs.flatMap((lines, n) =>
    lines
      .slice(-LINES)
      .map(({ level, message, fields }) => `log ${n + 1}, ${level}: ${message} ${textOf(fields)}`),
  );

function textOf(fields: object): string {
  try {
    return JSON.stringify(fields).slice(0, 300);
  } catch {
    return '';
  }
}

/** A busy machine holds a process up for seconds. */
const DEFAULT_WAIT_MS = 30_000;
/** What remains of a test for its failure. */
const REST_MS = 1_000;
const HALF = 2;

let test: { readonly endsAt: number; readonly halfMs: number } | undefined;

interface Wait {
  readonly what: string;
  readonly began: number;
  readonly work: Promise<unknown>;
}

/** Among so many new ones the settled are forgotten: they hold memory. */
const MANY_WAITS = 100;
const SHOWN = 40;

/** Of the running test, the oldest first. Some have settled. */
let waits: Wait[] = [];
let forgetAt = MANY_WAITS;

/** A handler of ours on the promise would hide a rejection that the code has lost. */
const isPending = ({ work }: Wait): boolean => inspect(work).includes('<pending>');

export function testBegins(limitMs: number): void {
  test = { endsAt: performance.now() + limitMs, halfMs: limitMs / HALF };
}

/** Half of the limit of the running test, and less near its end: a wait fails before its test does. */
export function longestWaitMs(): number {
  if (test === undefined || test.endsAt === Infinity) return DEFAULT_WAIT_MS;
  return Math.max(REST_MS, Math.min(test.halfMs, test.endsAt - performance.now() - REST_MS));
}

/** `what` is shown while `work` has not settled. */
export function waitsFor<T>(what: string, work: Promise<T>): Promise<T> {
  waits.push({ what, began: performance.now(), work });
  if (waits.length < forgetAt) return work;
  waits = waits.filter(isPending);
  forgetAt = waits.length * 2 + MANY_WAITS;
  return work;
}

const waitsNow = (): string[] =>
  waits
    .filter(isPending)
    .slice(0, SHOWN)
    .map(
      ({ what, began }) => `waits for ${what}, since ${Math.round(performance.now() - began)} ms`,
    );

export function explainsWaits(explaining: Explaining): void {
  shared[KEY] = explaining;
}

/** What the running test waits for and its endpoints do. */
export function endpointsNow(): string {
  try {
    return [shared[KEY]?.describe() ?? '', ...waitsNow(), ...logsNow()].join('\n');
  } catch (error) {
    return `its endpoints cannot be described: ${String(error)}`;
  }
}

export function forgetEndpoints(): void {
  shared[KEY]?.forget();
  logs.length = 0;
  waits = [];
  forgetAt = MANY_WAITS;
  test = undefined;
}
