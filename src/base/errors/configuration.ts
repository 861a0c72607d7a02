/** Errors that are thrown while an endpoint is being configured. */
import { orUndefined } from '../or-undefined.ts';
import { cut } from '../shown.ts';
import type { ERRORS } from './codes.ts';
import { SojournError } from './sojourn-error.ts';

/** Longer values are cut: the rest of a sentence must be found behind them. */
const GOT_LENGTH = 128;

/** Builds a `RangeError` or a `TypeError`, as JavaScript does for such values, with a `code`. */
export function optionInvalid(
  kind: 'range' | 'type',
  option: string,
  got: unknown,
  takes: string,
): Error {
  const message = `Option ${option}: got ${cut(describe(got), GOT_LENGTH)}, takes ${takes}`;
  const error = kind === 'range' ? new RangeError(message) : new TypeError(message);
  return Object.assign(error, { code: 'OPTION_INVALID' satisfies keyof typeof ERRORS });
}

/** `why` continues the sentence "The server passed to createMcpEndpoint cannot be used: …". */
export const definitionRefused = (why: string): SojournError =>
  new SojournError(
    'DEFINITION_REFUSED',
    `The server passed to createMcpEndpoint cannot be used: ${why}`,
  );

export function optionsContradict(message: string): Error {
  return Object.assign(new TypeError(message), {
    code: 'OPTION_INVALID' satisfies keyof typeof ERRORS,
  });
}

export const listensInCheck = (): Error =>
  optionsContradict(
    'sojourn check and sojourn prove start the server themselves, and this module listens while it is loaded: move what ' +
      'exports the server to a file that does not listen',
  );

/** `new` alone makes something of it. */
export const isClass = (value: unknown): boolean =>
  typeof value === 'function' &&
  Object.getOwnPropertyDescriptor(value, 'prototype')?.writable === false;

function describe(value: unknown): string {
  if (isClass(value)) return 'a class';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number' || value === undefined) return String(value);
  return (
    orUndefined(() => JSON.stringify(value) ?? String(value)) ??
    Object.prototype.toString.call(value)
  );
}
