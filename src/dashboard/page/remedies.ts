/**
 * The option that allows a request that was refused. The code of the refusal names it, and never its text, of which
 * clients may have written a part. Its flag, variable and member of the module follow from its name.
 */
import { flagName, variableName } from '../../base/options/flag-names.ts';
import type { FleetPage, RefusalFigures } from '../wire.ts';

/** Where a code has one option. Of others `words.ts` says what to do. */
const OPTIONS: Readonly<Record<string, string>> = {
  host: 'allowedHosts',
  origin: 'allowedOrigins',
  body_too_large: 'limits.bodyBytes',
  too_many_requests: 'limits.requestsPerSession',
  too_many_sessions: 'limits.sessions',
  over_memory: 'limits.memoryBytes',
  overloaded: 'limits.sessionlessRequests',
};

/** A client chose it, and a person copies it into a shell. */
const COPIED =
  /^(?:[a-z][a-z\d+.-]{0,20}:\/\/)?(?:[\w.-]{1,253}|\[[\da-f:.]{2,45}\])(?::\d{1,5})?$/i;

export interface Remedy {
  readonly flag: string;
  readonly variable: string;
  readonly module: string;
}

export function remedyFor(
  { reason, callers }: Pick<RefusalFigures, 'reason' | 'callers'>,
  options: FleetPage['options'],
): Remedy | undefined {
  const name = Object.hasOwn(OPTIONS, reason) ? OPTIONS[reason] : undefined;
  if (name === undefined) return undefined;
  if (name === 'allowedHosts' || name === 'allowedOrigins') {
    const value = reason === 'host' ? callers[0]?.host?.replace(/:\d*$/, '') : callers[0]?.origin;
    if (value === undefined || value === 'null' || !COPIED.test(value)) return undefined;
    const listed = [...new Set([...options[name], value])];
    return waysOf(name, listed.join(','), JSON.stringify(listed));
  }
  const now = options.limits[name.slice('limits.'.length)];
  return typeof now === 'number' ? waysOf(name, String(now * 2), String(now * 2)) : undefined;
}

function waysOf(name: string, text: string, value: string): Remedy {
  const [first = '', second] = name.split('.');
  const module = second === undefined ? `${first}: ${value}` : `${first}: { ${second}: ${value} }`;
  return {
    flag: `--${flagName(name)} '${text}'`,
    variable: `${variableName(name)}='${text}'`,
    module,
  };
}
