/** The log lines of the command line, on stderr: readable lines in a terminal, JSON lines elsewhere. */
import { writeSync } from 'node:fs';
import { stderr } from 'node:process';
import { isatty } from 'node:tty';
import { pino } from 'pino';
import { REQUEST_LINE } from '../observe/log-lines.ts';
import { LEVELS, loggerOf, printed } from '../options/logger.ts';
import type { Logger } from '../types.ts';
import type { LogFormat } from './option-flags.ts';

const STDERR = 2;
/** Log lines that wait for a reader of stderr. Further lines are dropped, and counted. */
const WAITING_BYTES = 1_048_576;

export interface CliLog {
  readonly level: string;
  /** The number of this worker. */
  readonly worker?: number | undefined;
  /** Default: text in a terminal, else JSON. */
  readonly format?: LogFormat | undefined;
  /** Hides the secrets of a store's URL. */
  readonly redact?: ((text: string) => string) | undefined;
}

export const inTerminal = (): boolean => isatty(STDERR);

export function cliLogger({ format = inTerminal() ? 'text' : 'json', ...log }: CliLog): Logger {
  if (format === 'json') return jsonLogger(log, stderr);
  return inTerminal()
    ? textLogger(log, { write: (text) => writeSync(STDERR, text) }, timeOfDay)
    : textLogger(log, stderr);
}

/** What lines are written to: `process.stderr`, which holds what its reader does not take yet. */
export interface LineStream {
  /** `undefined` for a file, which takes each line at once. */
  readonly writableLength?: number;
  write(text: string): unknown;
}

/** A reader that stops does not stop the process: the write of a full pipe never blocks. */
function droppingWriter(stream: LineStream, dropping: (lines: number) => void): (line: string) => void {
  let dropped = 0;
  return (line) => {
    if ((stream.writableLength ?? 0) > WAITING_BYTES) {
      dropped += 1;
      return;
    }
    const lines = dropped;
    dropped = 0;
    if (lines > 0) dropping(lines);
    stream.write(line);
  };
}

const logDropped = (logger: Logger, lines: number): void =>
  logger.warn({ lines }, 'Log lines were dropped before this one: the reader of stderr does not take them');

export function jsonLogger({ level, worker, redact }: CliLog, stream: LineStream): Logger {
  const write = droppingWriter(stream, (lines) => logDropped(logger, lines));
  const all = pino({ level, ...(redact && { hooks: { streamWrite: redact } }) }, { write });
  const logger: Logger = worker === undefined ? all : all.child({ worker });
  return logger;
}

const timeOfDay = (now: Date): string => now.toTimeString().slice(0, 8);
const isoTime = (now: Date): string => now.toISOString();

/** `time`: of each line. A person at a terminal knows the day. */
export function textLogger({ level, worker, redact }: CliLog, stream: LineStream, time = isoTime): Logger {
  const names: readonly string[] = LEVELS;
  const least = names.indexOf(level);
  const where = worker === undefined ? '' : ` [${worker}]`;
  const write = droppingWriter(stream, (lines) => logDropped(logger, lines));
  const logger = loggerOf((name) => (fields, message) => {
    if (least < 0 || names.indexOf(name) < least) return;
    const text = `${time(new Date())}${where} ${name === 'info' ? '' : `${name} `}${lineOf(fields, message)}\n`;
    try {
      write(redact?.(text) ?? text);
    } catch {
      // The terminal is gone.
    }
  });
  return logger;
}

function lineOf(fields: object, message: string): string {
  const { err, error, ...more } = fields as Record<string, unknown>;
  const cause = err instanceof Error ? err : error instanceof Error ? error : undefined;
  const said = printed(cause);
  const shown = message === REQUEST_LINE ? requestOf(more) : { text: message, more };
  const pairs = { ...shown.more, ...(cause === undefined && error !== undefined && { error }) };
  const rest = Object.entries(pairs).map(([name, value]) => `  ${name}=${valueOf(value)}`);
  return `${shown.text}${rest.join('')}${cause === undefined ? '' : `\n  ${typeof said === 'string' ? said : (cause.stack ?? cause.message)}`}`;
}

function requestOf({ http, method, tool, prompt, status, ms, ...more }: Record<string, unknown>) {
  const named = [http, method, tool ?? prompt].filter((word) => word !== undefined).join(' ');
  return { text: `${named}  ${String(status)}  ${String(ms)} ms`, more };
}

const valueOf = (value: unknown): string =>
  typeof value === 'string' && /^[\w.:/-]+$/.test(value) ? value : JSON.stringify(value);
