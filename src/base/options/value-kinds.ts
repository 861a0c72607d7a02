/**
 * The kinds of options. A spec says everything about one option: its check, its default, and how the command line shows
 * it. `table.ts` has the spec of every option.
 */
import {
  checkBoolean,
  checkChoice,
  checkFunction,
  checkList,
  checkMethods,
  checkNames,
  checkNumber,
  type NumberRange,
} from './checks.ts';

export type FlagKind =
  | 'number' // ms, bytes, a count; Infinity where the option accepts it
  | 'switch' // --x, --no-x; in the environment true, false, 1, 0
  | 'text'
  | 'list' // separated by commas; the flag may be repeated
  | 'pairs'; // NAME=value; the flag may be repeated

export const GROUPS = [
  'The program',
  'Listening',
  'Sessions',
  'Streams and resuming',
  'Who may call',
  'Limits',
  'Running',
] as const;

/** What `--help` says about a flag. */
export interface FlagText {
  readonly group: (typeof GROUPS)[number];
  /** One line. For a switch that is on by default it describes `--no-x`. */
  readonly help: string;
  /** The name of the value. */
  readonly value?: string;
  /** The default, where its value alone does not tell it. */
  readonly shown?: string;
  /** The value of a flag that is given without one. */
  readonly preset?: string;
}

/** Makes the texts of the flags of one group. */
export const textIn =
  (group: FlagText['group']) =>
  (help: string, more?: Omit<FlagText, 'group' | 'help'>): FlagText => ({ group, help, ...more });

export interface FlagSpec extends FlagText {
  readonly kind: FlagKind;
  readonly choices?: readonly string[];
  /** The value without the flag. */
  readonly fallback: unknown;
}

/** What an absent value is, and how a given one is checked. Without `parse` it is checked elsewhere. */
export interface ValueSpec<T, Takes = T> {
  readonly fallback: T;
  /** Brings the value into the form that the endpoint uses. Throws `OPTION_INVALID`. */
  readonly parse?: (option: string, value: unknown) => T;
  /** Never set: the type of what an application may give. */
  readonly takes?: Takes;
}

export type OptionSpec<T, Takes = T> = FlagSpec & ValueSpec<T, Takes>;

/** Some members of `T`; `undefined` means the default. */
export type Some<T> = { [K in keyof T]?: T[K] | undefined };

/** One spec for each option of a group. */
export type Specs<Options> = {
  readonly [Name in keyof Options]-?: ValueSpec<unknown, Options[Name]>;
};

export interface NumberLimit extends ValueSpec<number> {
  readonly parse: (option: string, value: unknown) => number;
  readonly range: NumberRange;
}
export type NumberSpec = FlagSpec & NumberLimit;

export type Values<Specs extends Readonly<Record<string, ValueSpec<unknown>>>> = {
  readonly [Name in keyof Specs]: Specs[Name]['fallback'];
};

/** All values of a group of options. `scope`: what errors write before the names, such as `limits.` */
export function valuesOf<Specs extends Readonly<Record<string, ValueSpec<unknown>>>>(
  specs: Specs,
  given: object = {},
  scope = '',
): Values<Specs> {
  const values = Object.entries(specs).map(([name, { fallback, parse }]) => {
    const value: unknown = Reflect.get(given, name);
    return [
      name,
      value === undefined ? fallback : (parse?.(`${scope}${name}`, value) ?? value),
    ] as const;
  });
  return Object.freeze(Object.fromEntries(values)) as Values<Specs>;
}

/** The same of a group that is an object of the application. */
export function valuesIn<Specs extends Readonly<Record<string, ValueSpec<unknown>>>>(
  scope: string,
  given: unknown,
  specs: Specs,
): Values<Specs> {
  return valuesOf(specs, checkNames(scope, given, Object.keys(specs)), `${scope}.`);
}

/**
 * A value that has no flag: a function or an object, which only the module can set. `Takes`: the type of what an
 * application may give.
 */
export const value = <T, Takes = T>(
  fallback: T,
  parse?: ValueSpec<T>['parse'],
): ValueSpec<T, Takes> => ({
  fallback,
  ...(parse && { parse }),
});

/** An option that is a group, or depends on others, has no `parse`: it is checked elsewhere. */
export function option<T, Takes = T>(
  kind: FlagKind,
  fallback: T,
  text: FlagText,
  parse?: OptionSpec<T>['parse'],
): OptionSpec<T, Takes> {
  return { ...text, kind, ...value<T, Takes>(fallback, parse) };
}

/** 0 or more unless `min` says otherwise; `infinity`: what `Infinity` means. */
export const ms = (infinity?: string, min = 0): NumberRange => range('ms', min, false, infinity);
export const bytes = (min = 1, infinity?: string): NumberRange =>
  range('bytes', min, true, infinity);
export const count = (unit: string, min = 0, infinity?: string): NumberRange =>
  range(unit, min, true, infinity);

function range(
  unit: string,
  min: number,
  integer: boolean,
  infinity: string | undefined,
): NumberRange {
  return { unit, min, integer, ...(infinity !== undefined && { infinity }) };
}

/** A number that has no flag. */
export function numberLimit(fallback: number, allowed: NumberRange): NumberLimit {
  return {
    fallback,
    range: allowed,
    parse: (option, value) => checkNumber(option, value, allowed),
  };
}

export function number(fallback: number, allowed: NumberRange, text: FlagText): NumberSpec {
  return {
    value: allowed.unit === 'ms' ? 'ms' : 'n',
    ...(fallback === Infinity && allowed.infinity !== undefined && { shown: allowed.infinity }),
    ...text,
    kind: 'number',
    ...numberLimit(fallback, allowed),
  };
}

/** The SDK's `createMcpHandler` turns this option off with 0. */
export function zeroIsInfinity(spec: NumberSpec): NumberSpec {
  return { ...spec, parse: (option, value) => spec.parse(option, value) || Infinity };
}

export const flag = <T extends boolean | undefined>(
  fallback: T,
  text: FlagText,
): OptionSpec<boolean | T> => option<boolean | T>('switch', fallback, text, checkBoolean);

export function choice<const T extends string, Fallback extends T | undefined = T>(
  choices: readonly T[],
  fallback: Fallback,
  text: FlagText,
): OptionSpec<T | Fallback> {
  return {
    ...option<T | Fallback>('text', fallback, text, (name, value) =>
      checkChoice(name, value, choices),
    ),
    choices,
  };
}

/** `takes` describes the list in errors; `least`: how many items it must have. */
export function list<T, Fallback extends readonly T[] | undefined>(
  fallback: Fallback,
  {
    takes,
    item,
    least,
  }: { takes: string; item: (option: string, value: unknown) => T; least: 0 | 1 },
  text: FlagText,
): OptionSpec<readonly T[] | Fallback> {
  return option<readonly T[] | Fallback>('list', fallback, text, (name, value) =>
    checkList(name, value, takes, item, least),
  );
}

/** A function of the application. */
export const hook = <T>(takes: string): ValueSpec<T | undefined> =>
  value<T | undefined>(undefined, (name, given) => checkFunction(name, given as T, takes));

/** An object of the application with these methods; `optional` methods may be absent. */
export const methods = <T extends object>(names: readonly string[], optional?: readonly string[]) =>
  value<T | undefined>(undefined, (name, given) => checkMethods(name, given as T, names, optional));
