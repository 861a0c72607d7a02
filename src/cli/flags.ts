/** Flags as commander takes them, and what flags and variables say of the options, under the names of the options. */
import { type Command, Option } from 'commander';
import { reason, UsageError } from './failure.ts';
import { ALL_FLAGS, defaultOf, flagName, type FlagSpec, type OriginOf, variableName } from './option-flags.ts';

export type FlagValue = string | number | boolean | readonly string[];

/** Values under the names of their options, such as `limits.bodyBytes`. */
export type Given = Readonly<Record<string, FlagValue>>;

export type Environment = Readonly<Record<string, string | undefined>>;

/** `group`: the heading in the help. A flag that is not listed works all the same. */
export function addFlag(command: Command, key: string, spec: FlagSpec, group?: string, isListed = true): void {
  const { kind, value = 'value', preset, choices } = spec;
  const name = flagName(key);
  const fallback = defaultOf(spec);
  const add = (flags: string, help: string, isShown: boolean): Option => {
    const option = Object.assign(new Option(flags, help), { attributeName: () => key });
    if (group !== undefined) option.helpGroup(`${group}:`);
    command.addOption(option.hideHelp(!isListed || !isShown));
    return option;
  };
  if (kind === 'switch') {
    add(`--${name}`, spec.help, fallback !== 'on');
    add(`--no-${name}`, spec.help, fallback === 'on');
    return;
  }
  const told = `${choices ? `: ${choices.join(', ')}` : ''}${fallback === undefined ? '' : ` (default: ${fallback})`}`;
  const option = add(`--${name} ${preset === undefined ? `<${value}>` : `[${value}]`}`, spec.help + told, true);
  if (preset !== undefined) option.preset(preset);
  option.argParser((text: string, before: FlagValue | undefined) => {
    const parsed = parseFlagValue(spec, text, `--${name}`);
    return Array.isArray(parsed) && Array.isArray(before) ? [...before, ...parsed] : parsed;
  });
}

/** What flags and variables say of some options. `originOf`: which of them says it. */
export function givenBy(flags: Given, env: Environment, keys: Iterable<string> = ALL_FLAGS.keys()) {
  const variables: Record<string, FlagValue> = {};
  for (const key of keys) {
    const [name, spec] = [variableName(key), ALL_FLAGS.get(key)];
    const text = env[name] ?? '';
    if (spec !== undefined && text !== '' && !isServiceLink(name, text))
      variables[key] = parseFlagValue(spec, text, name);
  }
  const originOf: OriginOf = (option) => {
    const key = AUTH_FLAGS[option] ?? option;
    if (!Object.hasOwn(flags, key)) return Object.hasOwn(variables, key) ? variableName(key) : undefined;
    return `--${flags[key] === false ? 'no-' : ''}${flagName(key)}`;
  };
  return { variables, originOf, given: { ...variables, ...flags } as Given };
}

/** The flags of the members of `auth`. */
export const AUTH_FLAGS: Readonly<Record<string, string>> = {
  'auth.jwt.issuer': 'authIssuer',
  'auth.jwt.audience': 'authAudience',
  'auth.jwt.jwksUri': 'authJwksUri',
  'auth.requiredScopes': 'authScopes',
};

/**
 * Kubernetes sets SOJOURN_PORT=tcp://10.0.0.1:3000 and similar variables in every pod when a Service is called
 * `sojourn`.
 */
export function isServiceLink(name: string, text: string): boolean {
  return /^(tcp|udp|sctp):\/\//.test(text) || /_SERVICE_(HOST|PORT)|_PORT_\d+_/.test(name);
}

/** Checks values without the module's options. The error names the flag or variable instead of the option. */
export function checkedByName<T>(originOf: OriginOf, check: () => T): T {
  try {
    return check();
  } catch (error) {
    // "Option idleTimeoutMs: got …"
    const message = reason(error).replace(/^Option ([\w.]+)/, (name, option: string) => originOf(option) ?? name);
    throw new UsageError(message, { cause: error });
  }
}

/** The check of its option refuses a text that is no number, and ranges. `origin`: the flag or variable, for errors. */
function parseFlagValue(spec: FlagSpec, text: string, origin: string): FlagValue {
  switch (spec.kind) {
    case 'number':
      return numberOf(text, spec.value === 'ms') ?? text;
    case 'switch':
      if (['true', '1'].includes(text)) return true;
      if (['false', '0'].includes(text)) return false;
      throw new UsageError(`${origin} takes true or false; got ${JSON.stringify(text)}`);
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'text':
      return text;
  }
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time may have a unit: `500`, `500ms`, `90s`, `30m`, `2h`, `1d`. `undefined`: no number. */
function numberOf(text: string, isTime: boolean): number | undefined {
  if (/^infinity$/i.test(text)) return Infinity;
  const [, amount, unit] = /^([+-]?\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (amount === undefined || (unit !== undefined && !isTime)) return undefined;
  return Number(amount) * (UNIT_MS[unit ?? 'ms'] ?? 1);
}
