/** The flags of `sojourn stdio` about the program and its children: options of `stdioServer()`. */
import {
  choice,
  count,
  flag,
  type FlagSpec,
  type FlagText,
  ms,
  number,
  option,
  textIn,
} from '../base/options/value-kinds.ts';
import { STDIO_DEFAULTS } from '../stdio/stdio-options.ts';
import { names, text } from './flags.ts';
import { optionInvalid } from '../base/errors.ts';

const child = textIn('The program');
type Pairs = Readonly<Record<string, string>>;

const pairs = (shown: FlagText) =>
  option<Pairs | undefined>('pairs', undefined, shown, (_name, given) =>
    Object.fromEntries(
      (given as readonly string[]).map((pair) => {
        const at = pair.indexOf('=');
        return [pair.slice(0, at), pair.slice(at + 1)];
      }),
    ),
  );

const UNITS: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** `512m`, `2g`, or a number of bytes. */
function parseMemory(name: string, value: unknown): number {
  const [, amount, unit = ''] = /^(\d+)([kmg]?)(?:i?b)?$/i.exec(String(value)) ?? [];
  const bytes = Number(amount) * (UNITS[unit.toLowerCase()] ?? 1);
  if (bytes > 0) return bytes;
  throw optionInvalid('range', name, value, 'bytes, like 512m or 2g');
}

const { childIdleTimeoutMs, childStartMs } = STDIO_DEFAULTS;

export const STDIO_FLAGS = {
  maxChildren: option<number | undefined>(
    'number',
    undefined,
    child('children that live at once', {
      value: 'n',
      shown: 'what a quarter of the memory holds, at most 64',
    }),
    (name, value) => number(1, count('children', 1), child('')).parse(name, value),
  ),
  childIdleTimeoutMs: number(
    childIdleTimeoutMs,
    ms('never', 1),
    child('a child that does nothing for so long is stopped, and its memory lost'),
  ),
  childStartMs: number(
    childStartMs,
    ms(undefined, 1),
    child('how long a child may take to answer initialize'),
  ),
  childMemory: option<number | undefined>(
    'text',
    undefined,
    child('a child whose processes hold more is killed', { value: 'bytes', shown: 'no limit' }),
    parseMemory,
  ),
  oneChild: flag(
    false,
    child('one child for all callers: only for a program that keeps nothing of them'),
  ),
  childEra: choice<'legacy' | 'modern', undefined>(
    ['legacy', 'modern'],
    undefined,
    child('what the program speaks: 2025 or 2026-07-28', { value: 'era', shown: 'it is asked' }),
  ),
  cwd: text(child('the folder in which the command runs', { value: 'folder' })),
  env: pairs(child('a variable of the child', { value: 'NAME=value' })),
  inheritEnv: names(
    child('variables of this process that the child gets beside PATH, HOME and the like', {
      value: 'names',
    }),
  ),
  userEnv: pairs(
    child('a variable from the caller: user, claim:<name>, header:<name>, or a text with {user}', {
      value: 'NAME=source',
    }),
  ),
  tools: names(child('only these tools, by patterns such as get_*', { value: 'patterns' })),
  toolsOnce: names(
    child('calls of these tools run once for each value of an argument', {
      value: 'tool:argument',
    }),
  ),
  toolsAsTasks: names(child('calls of these tools may become tasks', { value: 'patterns' })),
  toolsAfterCrashRun: names(
    child('calls of these tools may run again after a crash', { value: 'patterns' }),
  ),
  stderrToClients: flag(
    false,
    child('shows clients what a child that does not start wrote to stderr'),
  ),
} as const satisfies Readonly<Record<string, FlagSpec>>;
