/** Loggers of winston, which take the text first, have no level `fatal`, and write an error in a field as `{}`. */
import type { GivenLogger } from '../types.ts';

/** What is used of winston 3. */
interface WinstonLogger {
  log(entry: { readonly level: string; readonly message: string }): unknown;
  readonly levels: Readonly<Record<string, number>>;
}

/** Winston's three sets of levels have these names for ours. */
const NAMES = {
  fatal: ['fatal', 'crit', 'error'],
  warn: ['warn', 'warning'],
  debug: ['debug', 'silly'],
} as const;

export function isWinston(logger: unknown): logger is WinstonLogger {
  if (typeof logger !== 'object' || logger === null) return false;
  const { log, levels, transports } = logger as Partial<
    WinstonLogger & { readonly transports: unknown }
  >;
  return (
    typeof log === 'function' &&
    typeof levels === 'object' &&
    levels !== null &&
    Array.isArray(transports)
  );
}

export function ofWinston(winston: WinstonLogger): Required<GivenLogger> {
  const named = (names: readonly string[]): string =>
    names.find((name) => name in winston.levels) ?? 'error';
  const at =
    (level: string) =>
    (fields: object, message: string): void =>
      void winston.log({
        ...Object.fromEntries(Object.entries(fields).map(entryOf)),
        level,
        message,
      });
  return {
    debug: at(named(NAMES.debug)),
    info: at('info'),
    warn: at(named(NAMES.warn)),
    error: at('error'),
    fatal: at(named(NAMES.fatal)),
  };
}

/** `message` is winston's name for the text of the line. */
function entryOf([name, value]: [string, unknown]): [string, unknown] {
  const written =
    value instanceof Error
      ? { ...Object.fromEntries(Object.entries(value)), type: value.name, ...textsOf(value) }
      : value;
  return [name === 'message' ? 'thrown' : name, written];
}

/** These are no own members that a spread would copy. */
const textsOf = ({ message, stack, cause }: Error): object => ({
  message,
  stack,
  ...(cause instanceof Error && { cause: cause.stack ?? cause.message }),
});
