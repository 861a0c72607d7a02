/** What the endpoints of the running test do, in files that make endpoints (`stuck.ts`). Without vitest: programs use it. */

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

export function explainsWaits(explaining: Explaining): void {
  shared[KEY] = explaining;
}

/** What the endpoints of the running test do; `''`: it has none. */
export function endpointsNow(): string {
  try {
    return [shared[KEY]?.describe() ?? '', ...logsNow()].join('\n');
  } catch (error) {
    return `its endpoints cannot be described: ${String(error)}`;
  }
}

export function forgetEndpoints(): void {
  shared[KEY]?.forget();
  logs.length = 0;
}
