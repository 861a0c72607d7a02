/** Where the log lines of the command line go: readable lines in a terminal, JSON lines elsewhere, both on stderr. */
import { writeSync } from 'node:fs';
import { stderr } from 'node:process';
import { isatty } from 'node:tty';
import { pino } from 'pino';
import { REQUEST_LINE } from '../observe/log-lines.ts';
import { LEVELS, loggerOf, printed } from '../options/logger.ts';
import type { Logger } from '../types.ts';

const STDERR = 2;
/** Log lines that wait for a reader of stderr. Further lines are dropped, and counted. */
const WAITING_BYTES = 1_048_576;

export interface CliLog {
  readonly level: string;
  /** The number of this worker. */
  readonly worker?: number | undefined;
  /** Readable lines also where there is no terminal. */
  readonly readable?: boolean | undefined;
  /** Hides the secrets of a store's URL. */
  readonly redact?: ((text: string) => string) | undefined;
}

export const inTerminal = (): boolean => isatty(STDERR);

export function cliLogger({ level, worker, readable = false, redact }: CliLog): Logger {
  if (readable || inTerminal())
    return terminalLogger({ level, worker, redact }, (text) => void writeSync(STDERR, text));
  return jsonLogger({ level, worker, redact }, stderr);
}

/** What lines are written to: `process.stderr`, which holds what its reader does not take yet. */
export interface LineStream {
  /** `undefined` for a file, which takes each line at once. */
  readonly writableLength?: number;
  write(text: string): unknown;
}

/** A reader that stops does not stop the process: the write of a full pipe never blocks. */
export function jsonLogger({ level, worker, redact }: CliLog, stream: LineStream): Logger {
  let dropped = 0;
  const write = (line: string): void => {
    if ((stream.writableLength ?? 0) > WAITING_BYTES) {
      dropped += 1;
      return;
    }
    const lines = dropped;
    dropped = 0;
    if (lines > 0) logger.warn({ lines }, 'Log lines are dropped here: the reader of stderr does not take them');
    stream.write(line);
  };
  const all = pino({ level, ...(redact && { hooks: { streamWrite: redact } }) }, { write });
  const logger = worker === undefined ? all : all.child({ worker });
  return logger;
}

export function terminalLogger({ level, worker, redact }: CliLog, write: (text: string) => void): Logger {
  const names: readonly string[] = LEVELS;
  const least = names.indexOf(level);
  const where = worker === undefined ? '' : ` [${worker}]`;
  return loggerOf((name) => (fields, message) => {
    if (least < 0 || names.indexOf(name) < least) return;
    const time = new Date().toTimeString().slice(0, 8);
    const text = `${time}${where} ${name === 'info' ? '' : `${name} `}${lineOf(fields, message)}\n`;
    try {
      write(redact?.(text) ?? text);
    } catch {
      // The terminal is gone.
    }
  });
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
