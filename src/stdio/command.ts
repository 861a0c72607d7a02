/** The command of a child, and its environment: nothing of the gateway's own reaches it unasked. */
import { digestText } from '../base/digest.ts';
import { optionInvalid } from '../base/errors.ts';
import type { McpHttpRequest } from '../base/types.ts';

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
}

/** Who calls: of a session, or of one request. */
export interface ChildCaller {
  /** The key of the user. `undefined`: an anonymous caller. */
  readonly userKey: string | undefined;
  readonly userName: string | undefined;
  /** Claims of its token. */
  readonly claims: Readonly<Record<string, unknown>>;
  header(name: string): string | undefined;
}

/** The variables that the SDK's own stdio client passes on. */
const INHERITED =
  process.platform === 'win32'
    ? [
        'APPDATA',
        'HOMEDRIVE',
        'HOMEPATH',
        'LOCALAPPDATA',
        'PATH',
        'PROCESSOR_ARCHITECTURE',
        'PROGRAMFILES',
        'SYSTEMDRIVE',
        'SYSTEMROOT',
        'TEMP',
        'USERNAME',
        'USERPROFILE',
      ]
    : ['HOME', 'LANG', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'TMPDIR', 'USER'];

/** `also`: names that the operator lets through. */
export function inheritedEnvironment(
  also: readonly string[],
  from: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const names = [...INHERITED, ...also];
  // An exported function of bash is no value for another program.
  const given = names.flatMap((name) => {
    const value = from[name];
    return value === undefined || value.startsWith('()') ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given);
}

/** Headers that prove who the caller is. 2026-07-28 forbids to pass a token of this server on. */
const CREDENTIALS: readonly string[] = ['authorization', 'cookie', 'proxy-authorization'];
/** A caller who may set one of these runs programs of its own. */
const UNSAFE =
  /^(?:LD_|DYLD_|NODE_OPTIONS$|NODE_PATH$|PATH$|PYTHON(?:PATH|HOME|STARTUP)$|RUBYOPT$|PERL5)|^BASH_ENV$|^ENV$|^SOJOURN_/i;
const NAME = /^[A-Za-z_]\w*$/;
const SOURCE = /^(?:user$|claim:.|header:[\w!#$%&'*+.^`|~-]+$)/;
const USER = '{user}';

/** What a variable of `userEnv` takes: `user`, `claim:<name>`, `header:<name>`, or a text with `{user}`. */
export function checkUserEnv(
  option: string,
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  for (const [name, source] of Object.entries(given)) {
    const [, header] = /^header:(.*)$/.exec(source) ?? [];
    const isCredential = header !== undefined && CREDENTIALS.includes(header.toLowerCase());
    if (isCredential)
      throw optionInvalid('range', option, source, 'a header that is no credential of this server');
    if (UNSAFE.test(name))
      throw optionInvalid('range', option, name, 'a variable that loads no code into the child');
    if (!NAME.test(name) || !(SOURCE.test(source) || source.includes(USER)))
      throw optionInvalid(
        'range',
        option,
        `${name}=${source}`,
        'NAME=user, NAME=claim:<name>, NAME=header:<name>, or NAME=<text with {user}>',
      );
  }
  return given;
}

/** The headers that `userEnv` reads. */
export const headersOf = (userEnv: Readonly<Record<string, string>>): readonly string[] =>
  Object.values(userEnv).flatMap(
    (source) => /^header:(.*)$/.exec(source)?.[1]?.toLowerCase() ?? [],
  );

/** Whether `userEnv` tells callers apart. Without a user their variables stay unset. */
export const needsUser = (userEnv: Readonly<Record<string, string>>): boolean =>
  Object.values(userEnv).some((source) => !source.startsWith('header:'));

/** The variables that have a value for this caller. */
export function userVariables(
  userEnv: Readonly<Record<string, string>>,
  caller: ChildCaller,
): Record<string, string> {
  const given = Object.entries(userEnv).flatMap(([name, source]) => {
    const value = valueFrom(source, caller);
    // An environment has no NUL: `spawn` would throw.
    return value === undefined || value.includes('\0') ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given);
}

function valueFrom(source: string, caller: ChildCaller): string | undefined {
  const [kind, name = ''] = source.split(/:(.*)/s, 2);
  if (source === 'user') return caller.userName;
  if (kind === 'header' && SOURCE.test(source)) return caller.header(name);
  if (kind === 'claim' && SOURCE.test(source)) {
    const claim = Object.hasOwn(caller.claims, name) ? caller.claims[name] : undefined;
    return ['string', 'number', 'boolean'].includes(typeof claim) ? String(claim) : undefined;
  }
  // A digest, because the name of a user may be a path.
  return caller.userKey === undefined
    ? undefined
    : source.replaceAll(USER, digestText(caller.userKey).slice(0, 22).replace(/^-/, '_'));
}

export function callerOf(
  request: McpHttpRequest | undefined,
  claims: unknown,
  session?: { readonly userKey?: string | undefined; readonly userName?: string | undefined },
): ChildCaller {
  return {
    userKey: session?.userKey ?? request?.userKey,
    userName: session?.userName ?? request?.userName,
    claims: (claims ?? {}) as Readonly<Record<string, unknown>>,
    header: (name) => request?.headers.get(name) ?? undefined,
  };
}
