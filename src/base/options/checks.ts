/** One function per kind of value. A value that fits is returned, any other throws an error that names its option. */
import { isClass, optionInvalid, optionsContradict } from '../errors.ts';
import { nearestName } from '../nearest-name.ts';
import { meantName } from './other-names.ts';

/** Whether the user's code returned a promise, of any kind. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}

/** An error shows this text instead of a value that is secret or too long. */
export const got = (text: string): unknown => ({ toJSON: () => undefined, toString: () => text });

/** What an error shows of a value that may be a secret. */
export const hidden = (value: unknown): unknown =>
  got(typeof value === 'object' ? 'an object' : `a ${typeof value}`);

export interface NumberRange {
  readonly min: number;
  readonly max?: number;
  readonly unit: string;
  /** Fractions are refused. */
  readonly integer?: boolean;
  /** What `Infinity` means; without it `Infinity` is refused. */
  readonly infinity?: string;
}

export function checkNumber(option: string, value: unknown, range: NumberRange): number {
  const takes =
    `${range.integer ? 'a whole number' : 'a number'} of ${range.unit}, ${range.max === undefined ? `${range.min} or more` : `${range.min} to ${range.max}`}` +
    (range.infinity === undefined ? '' : `, or Infinity (${range.infinity})`);
  if (typeof value !== 'number') throw optionInvalid('type', option, value, takes);
  if (value === Infinity && range.infinity !== undefined) return value;
  const fits =
    Number.isFinite(value) &&
    value >= range.min &&
    value <= (range.max ?? Infinity) &&
    (!range.integer || Number.isSafeInteger(value));
  if (!fits) throw optionInvalid('range', option, value, takes);
  return value;
}

export function checkBoolean(option: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw optionInvalid('type', option, value, 'true or false');
  return value;
}

export function checkChoice<T extends string>(
  option: string,
  value: unknown,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  const takes = choices.map((choice) => `'${choice}'`).join(', ');
  throw optionInvalid(
    typeof value === 'string' ? 'range' : 'type',
    option,
    value,
    `one of ${takes}`,
  );
}

/** A text of this form. */
export function checkText(option: string, value: unknown, form: RegExp, takes: string): string {
  if (typeof value !== 'string') throw optionInvalid('type', option, value, takes);
  if (!form.test(value)) throw optionInvalid('range', option, value, takes);
  return value;
}

export function checkFunction<T>(option: string, value: T, takes: string): T {
  if (typeof value !== 'function' || isClass(value))
    throw optionInvalid('type', option, value, takes);
  return value;
}

/** An object of the application with these methods, passed on as it is. `optional` methods may be absent. */
export function checkMethods<T>(
  option: string,
  value: T,
  methods: readonly string[],
  optional: readonly string[] = [],
): T & object {
  const takes = `an object with ${methods.map((name) => `${name}()`).join(', ')}`;
  if (!isObject(value)) throw optionInvalid('type', option, value, takes);
  for (const name of methods) {
    if (typeof value[name] !== 'function')
      throw optionInvalid('type', option, got(`an object without ${name}()`), takes);
  }
  for (const name of optional) {
    const member = value[name];
    if (member !== undefined && typeof member !== 'function') {
      throw optionInvalid('type', `${option}.${name}`, member, 'a function');
    }
  }
  return value;
}

export function checkList<T>(
  option: string,
  value: unknown,
  takes: string,
  item: (option: string, value: unknown) => T,
  least: 0 | 1 = 1,
): readonly T[] {
  if (!Array.isArray(value)) throw optionInvalid('type', option, value, takes);
  if (value.length < least) throw optionInvalid('range', option, value, `${takes}, at least one`);
  return Object.freeze(
    Array.from(value, (entry: unknown, index) => item(`${option}[${index}]`, entry)),
  );
}

/** An application may give one key instead of a list, and no error shows it. `named`: a word that means another key. */
export function checkKeys(
  option: string,
  value: unknown,
  named?: string,
): readonly (string | Uint8Array)[] {
  const takes = `a list of keys, each 32 bytes or more${named === undefined ? '' : `, or '${named}'`}`;
  const item = (name: string, key: unknown) =>
    named !== undefined && key === named ? named : checkKey(name, key);
  return checkList(option, Array.isArray(value) ? value : hidden(value), takes, item);
}

/** A key is secret, so errors state only its size. */
function checkKey(name: string, key: unknown): string | Uint8Array {
  const takes = 'a string or Uint8Array of 32 bytes or more';
  if (typeof key !== 'string' && !(key instanceof Uint8Array))
    throw optionInvalid('type', name, hidden(key), takes);
  const size = Buffer.byteLength(key);
  if (size < 32) throw optionInvalid('range', name, got(`${size} bytes`), takes);
  return typeof key === 'string' ? key : key.slice();
}

/**
 * A plain object of options whose names are all known. `scope` is `''` for the options themselves, else e.g. `limits`.
 * `nested`: names of members, such as `limits.bodyBytes`, that may be meant.
 */
export function checkNames(
  scope: string,
  value: unknown,
  known: readonly string[],
  nested: readonly string[] = [],
): Record<string, unknown> {
  if (!holdsOptions(value)) {
    if (scope === '')
      throw optionsContradict(
        `createMcpEndpoint takes an object of options as its second argument${awaited(value)}`,
      );
    throw optionInvalid('type', scope, value, `an object with any of ${known.join(', ')}`);
  }
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) throw unknownOption(scope, name, known, nested);
  }
  return value;
}

/**
 * The argument of a method of the endpoint: an object whose names are all known. `main` is the member that a bare value
 * was meant for, as in `listen(8080)`.
 */
export function checkArguments(
  method: string,
  value: unknown,
  known: readonly string[],
  main: string,
): void {
  if (!holdsOptions(value)) {
    const meant =
      typeof value === 'number' ? `; write ${method}({ ${main}: ${value} })` : awaited(value);
    throw optionsContradict(`${method}() takes an object with any of ${known.join(', ')}${meant}`);
  }
  for (const name of Object.keys(value)) {
    if (known.includes(name)) continue;
    const meant = meantName(`${method}().${name}`) ?? nearestName(name, known);
    throw optionsContradict(`${method}(): unknown option ${name}; ${advice(meant, known)}`);
  }
}

/** A promise of options, a list or a map looks like an object without members. */
export const holdsOptions = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !(Symbol.iterator in value) && !isThenable(value);

const awaited = (value: unknown): string =>
  isThenable(value) ? '; it is a promise: await it' : '';

const advice = (meant: string | undefined, known: readonly string[]): string =>
  meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`;

function unknownOption(
  scope: string,
  name: string,
  known: readonly string[],
  nested: readonly string[],
): Error {
  const qualified = (own: string): string => (scope === '' ? own : `${scope}.${own}`);
  const here = nearestName(name, known);
  const near = here === undefined ? nearestName(name, nested) : qualified(here);
  const meant = meantName(qualified(name)) ?? near;
  return optionsContradict(`Unknown option ${qualified(name)}; ${advice(meant, known)}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
