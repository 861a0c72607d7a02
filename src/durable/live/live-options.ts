/** The options of `live()`, what its handlers get, and the check of both. */
import { optionsContradict } from '../../base/errors.ts';
import { checkFunction, checkNames, checkNumber } from '../../base/options/checks.ts';
import type { Handle, HandleOptions, MaybePromise, State } from '../../base/types.ts';
import { toJson } from '../../session/record/state.ts';
import { isTaskHandler } from '../records/call-key.ts';
import { checkKind } from '../state/handles.ts';

/**
 * Tools of one kind have its objects together: give them the same options.
 * @experimental
 */
export interface LiveOptions<T = unknown, Args = never> extends HandleOptions {
  /** 1 to 16 characters of a–z and 0–9, the first a letter. */
  readonly kind: string;
  /**
   * The handle that the arguments name, as the client sent them. `undefined`: a new one is made. Absent: each call makes
   * one.
   */
  readonly id?: ((args: Args) => string | undefined) | undefined;
  /**
   * Makes the object from the state of its handle: for a new handle, and again after an idle time, a deploy or a crash.
   */
  readonly open: (state: State) => MaybePromise<T>;
  /** The object leaves this process. Not called when the process is killed. */
  readonly close?: ((object: T) => unknown) | undefined;
  /**
   * Whether an object that was opened before can still be used. Asked before each call, once for calls that arrive
   * together. `false`, a throw or no answer within `hookTimeoutMs`: its running calls are aborted (`OBJECT_CLOSED`),
   * `close` is called, and `open` makes another one for this call.
   */
  readonly isOpen?: ((object: T) => MaybePromise<boolean>) | undefined;
  /** How long an object without calls stays open, in ms: 1,000 to 86,400,000 (24 h). Default 300,000 (5 min). */
  readonly closeAfterMs?: number | undefined;
}

/**
 * What a handler of `live()` gets.
 * @experimental
 */
export interface LiveObject<T = unknown> {
  readonly object: T;
  readonly handle: Handle & {
    /**
     * The object cannot be used any more: other calls that use it are aborted, `close` is called, and the next call opens
     * another one from the state. This call takes its way to its end, but writes no state any more.
     */
    close(): Promise<void>;
  };
}

/** Checked once, when the handler is wrapped. */
export interface LiveSettings {
  readonly kind: string;
  readonly id: (args: unknown) => unknown;
  readonly open: (state: State) => unknown;
  readonly close: ((object: unknown) => unknown) | undefined;
  readonly isOpen: ((object: unknown) => unknown) | undefined;
  readonly closeAfterMs: number;
  readonly lastsMs: number;
  readonly fields: Readonly<Record<string, string>>;
}

const NAMES: readonly (keyof LiveOptions)[] = [
  'kind',
  'id',
  'open',
  'close',
  'isOpen',
  'closeAfterMs',
  'idleTimeoutMs',
  'initial',
];
const DAY_MS = 86_400_000;
const CLOSE_MS = 300_000;
const CLOSE_RANGE = { min: 1_000, max: DAY_MS, unit: 'ms', integer: true };
const LASTS_RANGE = { ...CLOSE_RANGE, max: 400 * DAY_MS };

/** Throws a `TypeError` or `RangeError`. */
export function checkLive(given: LiveOptions, handler: object): LiveSettings {
  if (isTaskHandler(checkFunction('the handler of live()', handler, 'a function')))
    throw optionsContradict(
      'the handler of live() is one of task(): a task outlives its process, and an object does not',
    );
  checkNames('live()', given, NAMES);
  const { kind, id, open, close, isOpen, closeAfterMs = CLOSE_MS } = given;
  const { idleTimeoutMs = DAY_MS, initial = {} } = given;
  checkKind(kind);
  const fields = Object.entries(initial).map(
    ([key, value]) => [key, toJson(kind, key, value)] as const,
  );
  if (id !== undefined) checkFunction('id of live()', id, 'a function of the arguments');
  if (isOpen !== undefined) checkFunction('isOpen of live()', isOpen, 'a function of the object');
  if (close !== undefined) checkFunction('close of live()', close, 'a function of the object');
  return {
    kind,
    id: (id ?? (() => undefined)) as LiveSettings['id'],
    open: checkFunction('open of live()', open, 'a function of the state'),
    close,
    isOpen,
    closeAfterMs: checkNumber('closeAfterMs of live()', closeAfterMs, CLOSE_RANGE),
    lastsMs: checkNumber('idleTimeoutMs of live()', idleTimeoutMs, LASTS_RANGE),
    fields: Object.fromEntries(fields),
  };
}
