/**
 * Where log lines go when the endpoint is given no logger, what they may hold, and what keeps a failing logger out of
 * the way.
 */
import { inspect } from 'node:util';
import { guardedCall } from '../guarded-call.ts';
import { SojournError } from '../errors.ts';
import { callOnError, ONERROR_THREW } from '../observe/observer.ts';
import type { GivenLogger, Logger, OnError, TimeProvider } from '../types.ts';
import { writeLine } from './log-fields.ts';
import { limitedLogger } from './log-limit.ts';

/** The least severe is first. */
export const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal'] as const;

/** Only the stack of an error takes further lines. */
const ON_ONE_LINE = { breakLength: Infinity, compact: true };

const IGNORED = (): void => {};

/** A logger that has the method `methodOf` returns at each level. */
export function loggerOf(methodOf: (level: (typeof LEVELS)[number]) => Logger['info']): Logger {
  return Object.freeze(
    Object.fromEntries(LEVELS.map((level) => [level, methodOf(level)])) as unknown as Logger,
  );
}

/** What `logger: false` means. */
export const SILENT: Logger = loggerOf(() => IGNORED);

/** What a reader of a console sees of an error. A store that is away is no mistake in code: no frame leads to it. */
export function printed(error: unknown): unknown {
  return error instanceof SojournError && error.code === 'STORE_UNAVAILABLE'
    ? error.message
    : error;
}

const toConsole =
  (
    level: keyof Logger,
    method: 'debug' | 'info' | 'warn' | 'error' = level === 'fatal' ? 'error' : level,
  ) =>
  (obj: object, msg: string): void => {
    const fields = Object.fromEntries(
      Object.entries(obj).map(([name, value]) => [name, printed(value)]),
    );
    const shown = Object.keys(fields).length === 0 ? '' : ` ${inspect(fields, ON_ONE_LINE)}`;
    console[method](`sojourn: ${level === 'info' ? '' : `${level}: `}${msg}${shown}`);
  };

/** What `logger: console` means: every level, as one line of text and the fields. */
const fullConsoleLogger: Logger = loggerOf((level) => toConsole(level));

/** The default: `info` and above to stderr, because stdout belongs to the application; `debug` goes nowhere. */
export const consoleLogger: Logger = Object.freeze({
  ...fullConsoleLogger,
  debug: IGNORED,
  info: toConsole('info', 'error'),
});

/**
 * The same logger with its failures caught: a throw, or the rejection of an async method. A line that the logger failed
 * to write goes to the console (warn and above), with the reason once. Without `fatal`, those lines go to `error`.
 */
export function safeLogger(given: GivenLogger): Logger {
  if (given === consoleLogger) return consoleLogger;
  if (given === console) return fullConsoleLogger;
  let told = false;
  const refused = (level: keyof Logger, obj: object, msg: string, error: unknown): void => {
    if (!told) {
      told = true;
      consoleLogger.warn(
        { err: error },
        `the logger failed at ${level}(); its lines go to the console instead`,
      );
    }
    consoleLogger[level](obj, msg);
  };
  return loggerOf((level) => (obj, msg) => {
    guardedCall(
      () => (level in given ? given[level]?.(obj, msg) : given.error(obj, msg)),
      (error) => refused(level, obj, msg, error),
    );
  });
}

/** The same logger, which gets its lines as `writeLine` writes them. */
function tidyLogger(logger: Logger): Logger {
  // Lines that go nowhere need no work.
  return loggerOf((level) =>
    logger[level] === IGNORED ? IGNORED : (obj, msg) => logger[level](...writeLine(obj, msg)),
  );
}

interface LoggerOptions {
  readonly logger: Logger;
  readonly onerror: OnError | undefined;
  readonly timeProvider: Required<TimeProvider>;
}

/** What all of an endpoint logs through. `onerror` gets every error in a line of `warn` or above, and as it is. */
export function endpointLogger({ logger, onerror, timeProvider }: LoggerOptions): Logger {
  return reportingLogger(limitedLogger(tidyLogger(logger), timeProvider), onerror);
}

/** More than most processes serve in a second; some 200 KB of lines. */
const REQUEST_LINES = 1_000;

/** What the lines of requests go through. */
export function requestLogger({ logger, timeProvider }: LoggerOptions): Logger {
  return limitedLogger(tidyLogger(logger), timeProvider, REQUEST_LINES);
}

/** What the lines of calls go through. None is left out: each says who did what. */
export const callLogger = ({ logger }: LoggerOptions): Logger => tidyLogger(logger);

/** What `onerror` throws ends here. */
function reportingLogger(logger: Logger, onerror: OnError | undefined): Logger {
  if (onerror === undefined) return logger;
  const reporting =
    (level: 'warn' | 'error' | 'fatal'): Logger['info'] =>
    (obj, msg) => {
      logger[level](obj, msg);
      const cause = 'err' in obj ? obj.err : undefined;
      if (msg === ONERROR_THREW) return;
      if (cause instanceof Error) callOnError(onerror, cause, logger);
      else if (level !== 'warn') callOnError(onerror, new Error(msg), logger);
    };
  return Object.freeze({
    ...logger,
    warn: reporting('warn'),
    error: reporting('error'),
    fatal: reporting('fatal'),
  });
}
