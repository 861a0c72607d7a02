/**
 * Every option of `listen()`, once: its check, its default and its flag. `listen.ts` and the command line take them
 * from here. `fd` and `requireStore` have no flag.
 */
import { optionInvalid } from '../../base/errors.ts';
import { checkArguments, checkText } from '../../base/options/checks.ts';
import { connectionsOf, heapLimit } from '../../base/options/heap-limits.ts';
import {
  count,
  flag,
  number,
  option,
  type OptionSpec,
  textIn,
  type Values,
  valuesOf,
} from '../../base/options/value-kinds.ts';

export interface ListenOptions {
  /** Default 3000; 0 = any free port. */
  port?: number | undefined;
  /** Default `127.0.0.1`. */
  host?: string | undefined;
  /** Default `/mcp`. A list serves the endpoint at each of its paths; `url` has the first. */
  path?: string | readonly string[] | undefined;
  /**
   * Open connections; one more is closed at once. Default: what fits a sixteenth of the heap at 16 KiB each, at most
   * 65,536. At least 256 descriptors of the process are kept for other files.
   */
  maxConnections?: number | undefined;
  /**
   * Callers without a token are meant to reach this address: nothing warns that they can. Default `false`. It opens
   * nothing; without the option `auth` anyone who reaches the address is served.
   */
  allowAnyone?: boolean | undefined;
  /**
   * Rejects while the store cannot be opened. `false` listens all the same: the store is tried again every second, and
   * until then requests that need it wait, and `/readyz` is answered with 503. A function gets the error and returns
   * whether to reject. Default `true`.
   */
  requireStore?: boolean | ((error: unknown) => boolean) | undefined;
  /** A listening TCP socket that was passed to the process and outlives it (systemd: 3). It replaces port and host. */
  fd?: number | undefined;
}

const listening = textIn('Listening');

function parsePort(name: string, value: unknown): number {
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535)
    return value as number;
  throw optionInvalid('range', name, value, 'a port number, 0 to 65535');
}

const parseHost = (name: string, value: unknown): string =>
  checkText(name, value, /^/, "an address like '127.0.0.1'");

/**
 * Writes the path as clients send it. What follows `?` or `#`, and blanks, are never part of it. Probes have their own
 * paths.
 */
const parsePath = (name: string, value: unknown): string =>
  new URL(
    `http://localhost${checkText(name, value, /^\/(?!(?:health|ready)z$)[^?#\s]*$/, "a path like '/mcp'")}`,
  ).pathname;

export const LISTEN = {
  port: option('number', 3000, listening('TCP port; 0 = any free one', { value: 'n' }), parsePort),
  host: option(
    'text',
    '127.0.0.1',
    listening('address to bind; 0.0.0.0 = all of IPv4', { value: 'address' }),
    parseHost,
  ),
  path: option('text', '/mcp', listening('path of the endpoint', { value: 'path' }), parsePath),
  maxConnections: number(connectionsOf(heapLimit()), count('connections', 1), {
    ...listening('open connections', { value: 'n' }),
    shown: 'what fits the heap',
  }),
  allowAnyone: flag(false, {
    group: 'Who may call',
    help: 'callers need no token on an address that other machines reach: no warning',
  }),
} as const satisfies Readonly<Record<string, OptionSpec<unknown>>>;

export type CheckedListen = Omit<Values<typeof LISTEN>, 'path'> & {
  readonly paths: readonly string[];
};

/** The argument of `listen()`. Throws `OPTION_INVALID` for the first value that does not fit. */
export function resolveListen(
  given: ListenOptions = {},
): CheckedListen & Pick<ListenOptions, 'fd'> {
  checkArguments('listen', given, [...Object.keys(LISTEN), 'fd', 'requireStore'], 'port');
  const { path: asked, ...rest } = given;
  const { path: fallback, ...values } = valuesOf(LISTEN, rest);
  const paths = [asked ?? fallback].flat().map((path) => parsePath('path', path));
  return { ...values, paths, fd: given.fd };
}
