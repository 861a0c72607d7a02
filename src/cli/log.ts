/** The log lines of the command line, on stderr: readable lines in a terminal, JSON lines elsewhere. */
import { hostname } from 'node:os';
import { stderr } from 'node:process';
import { isatty } from 'node:tty';
import { inspect } from 'node:util';
import { REQUEST_LINE } from '../base/observe/log-lines.ts';
import { LEVELS, loggerOf, printed } from '../base/options/logger.ts';
import type { Logger } from '../base/types.ts';
import type { LogFormat } from './flags.ts';

const STDERR = 2;
/** Log lines that wait for a reader of stderr. Further lines are dropped, and counted. */
const WAITING_BYTES = 1_048_576;

type LogLevel = (typeof LEVELS)[number];

export interface CliLog {
  readonly level: string;
  /** The number of this worker. */
  readonly worker?: number | undefined;
  /** Default: text in a terminal, else JSON. */
  readonly format?: LogFormat | undefined;
}

/** What lines are written to: `process.stderr`, which holds what its reader does not take yet. */
export interface LineStream {
  /** `undefined` for a file, which takes each line at once. */
  readonly writableLength?: number;
  write(text: string): unknown;
}

export const inTerminal = (): boolean => isatty(STDERR);

export function cliLogger({ format = inTerminal() ? 'text' : 'json', ...log }: CliLog): Logger {
  if (format === 'json') return jsonLogger(log, stderr);
  return textLogger(
    log,
    stderr,
    inTerminal() ? (now) => now.toTimeString().slice(0, 8) : undefined,
  );
}

/** A reader that stops does not stop the process: the write of a full pipe never blocks. */
function lineLogger(
  { level }: CliLog,
  stream: LineStream,
  lineOf: (level: LogLevel, fields: object, message: string) => string,
): Logger {
  const names: readonly string[] = LEVELS;
  const least = names.indexOf(level);
  let dropped = 0;
  const logger = loggerOf((name) => (fields, message) => {
    if (least < 0 || names.indexOf(name) < least) return;
    if ((stream.writableLength ?? 0) > WAITING_BYTES) {
      dropped += 1;
      return;
    }
    const lines = dropped;
    dropped = 0;
    if (lines > 0)
      logger.warn(
        { lines },
        'Log lines were dropped before this one: the reader of stderr does not take them',
      );
    stream.write(`${lineOf(name, fields, message)}\n`);
  });
  return logger;
}

/** The numbers that readers of pino's lines know. */
const SEVERITY: Readonly<Record<LogLevel, number>> = {
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
};

export function jsonLogger(log: CliLog, stream: LineStream): Logger {
  const who = { pid: process.pid, hostname: hostname(), worker: log.worker };
  return lineLogger(log, stream, (level, fields, msg) =>
    JSON.stringify(
      { level: SEVERITY[level], time: Date.now(), ...who, ...fields, msg },
      errorsWithStack,
    ),
  );
}

const errorsWithStack = (_name: string, value: unknown): unknown =>
  value instanceof Error
    ? Object.assign({}, value, {
        type: value.name,
        message: value.message,
        stack: value.stack,
        cause: value.cause,
      })
    : value;

/** `time`: of each line. A person at a terminal knows the day. */
export function textLogger(
  log: CliLog,
  stream: LineStream,
  time = (now: Date): string => now.toISOString(),
): Logger {
  const where = log.worker === undefined ? '' : ` [${log.worker}]`;
  return lineLogger(
    log,
    stream,
    (level, fields, message) =>
      `${time(new Date())}${where} ${level === 'info' ? '' : `${level} `}${textOf(fields, message)}`,
  );
}

function textOf(fields: object, message: string): string {
  const { err, error, ...more } = fields as Record<string, unknown>;
  const cause = err instanceof Error ? err : error instanceof Error ? error : undefined;
  const said = printed(cause);
  const shown = message === REQUEST_LINE ? requestOf(more) : { text: message, more };
  const pairs = { ...shown.more, ...(cause === undefined && error !== undefined && { error }) };
  const rest = Object.entries(pairs).map(([name, value]) => `  ${name}=${valueOf(value)}`);
  const stack = typeof said === 'string' ? said : cause && inspect(cause);
  return `${shown.text}${rest.join('')}${stack === undefined ? '' : `\n  ${stack}`}`;
}

function requestOf({ http, method, tool, prompt, status, ms, ...more }: Record<string, unknown>) {
  const words = [http, method, tool ?? prompt].filter((word) => word !== undefined);
  const named = words.map(valueOf).join(' ');
  return { text: `${named}  ${String(status)}  ${String(ms)} ms`, more };
}

const valueOf = (value: unknown): string =>
  typeof value === 'string' && /^[\w.:/-]+$/.test(value) ? value : JSON.stringify(value);
