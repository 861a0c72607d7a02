/**
 * `once()`: the calls of a tool with the same idempotency key run its handler once. A repeated call attaches to the run, or gets
 * the recorded result, or learns that the outcome is unknown. `ledger.ts` has the states.
 *
 * It works for each handler that the SDK calls in a request that an endpoint of this copy of the library serves, of
 * both versions of the SDK. There the call knows the ledger of its endpoint.
 */
import { onceNeedsUser, onceOutside } from '../../base/errors.ts';
import { argumentsHash, entryId, keyOf, refuseTaskHandler, scopeOf } from '../records/call-key.ts';
import { checkChoice, checkFunction, checkNames, checkNumber } from '../../base/options/checks.ts';
import { RUNS_ONCE_KEY, isHarmless, isRunOnce } from '../../session/calls/markers.ts';
import { type Call, currentCall } from '../../session/calls/call.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import {
  changedContext,
  type MethodWay,
  notifying,
  signalOf,
  withContext,
} from '../../session/calls/handler-context.ts';
import { toolOfCall } from '../../session/calls/listed-tool.ts';
import { OnceLedger } from './ledger.ts';
import type { AfterCrashKind, OnceCallEnd } from './once-call.ts';
import { inHookTime } from '../../base/hook-time.ts';
import { callsTool } from '../../base/protocol/methods.ts';
import type { MaybePromise } from '../../base/types.ts';

const NO_ENDPOINT =
  'no endpoint of sojourn serves it (stdio, a test, or another copy of the package)';

/** The `_meta` of a tool that runs once: `registerTool(name, { _meta: RUNS_ONCE }, once(…))`. */
export const RUNS_ONCE: { readonly [RUNS_ONCE_KEY]: true } = Object.freeze({
  [RUNS_ONCE_KEY]: true,
});

/** What to do about a call whose instance died: asks the outside whether it took effect. */
export type AfterCrash<Given extends unknown[], Result> = (
  ...given: Given
) => MaybePromise<Result | 'run' | 'fail'>;

export interface OnceOptions<Given extends unknown[], Result> {
  /**
   * The idempotency key, a text of 1 to 512 characters: calls of a user with the same key are the
   * same call.
   */
  readonly key: (...given: Given) => string;
  /** How long the outcome is known, in ms: 1,000 to 2,592,000,000 (30 days). Default 86,400,000 (24 h). */
  readonly keepMs?: number | undefined;
  /**
   * After a crash in the middle of a run. `'fail'`: calls with its key get the error `owner_lost`. `'run'`: the next
   * one runs the handler again. A function returns one of these, or the result that it has found outside. Default:
   * `'run'` for tools with `readOnlyHint` or `idempotentHint`, else `'fail'`.
   */
  readonly afterCrash?: 'fail' | 'run' | AfterCrash<Given, Result> | undefined;
  /** After the last client that waits has left. `'abort'`: the signal of the handler aborts. Default `'finish'`. */
  readonly onDisconnect?: 'finish' | 'abort' | undefined;
  /**
   * `'shared'`: all callers without a user share keys and results, in sessions too. Default: keys are of the session,
   * and a call without either is refused.
   */
  readonly anonymous?: 'shared' | undefined;
  /** `'run'`: where no endpoint serves the call (stdio), the handler runs unprotected. Default: an error. */
  readonly withoutEndpoint?: 'run' | undefined;
}

const NAMES: readonly (keyof OnceOptions<never[], unknown>)[] = [
  'key',
  'keepMs',
  'afterCrash',
  'onDisconnect',
  'anonymous',
  'withoutEndpoint',
];
const DAY_MS = 86_400_000;
const KEEP_RANGE = { min: 1_000, max: 30 * DAY_MS, unit: 'ms', integer: true };

/** Checked once, when the handler is wrapped. */
interface Settings {
  readonly key: (...given: never[]) => unknown;
  readonly keepMs: number;
  readonly afterCrash: OnceOptions<never[], unknown>['afterCrash'];
  readonly endsWithClient: boolean;
  readonly isShared: boolean;
  readonly runsOutside: boolean;
}

/**
 * Wraps the handler of a tool. Throws a `TypeError` or `RangeError` for an invalid option. A call whose handler does
 * not run is answered with a JSON-RPC error, whose `data.reason` is `once_conflict`, `once_needs_user`, `owner_lost`,
 * `once_aborted`, `result_not_kept` or `store_unavailable`.
 */
export function once<Given extends unknown[], Result>(
  handler: (...given: Given) => MaybePromise<Result>,
  options: OnceOptions<Given, Result>,
): (...given: Given) => Promise<Result> {
  const settings = checked(handler, options);
  return async function (this: unknown, ...given: Given): Promise<Result> {
    const run = (ctx: unknown): MaybePromise<Result> =>
      handler.apply(this, withContext(given, ctx));
    const call = currentCall.getStore();
    const calls = call?.services?.once;
    const why = call !== undefined && calls instanceof OnceLedger ? unfit(call) : NO_ENDPOINT;
    if (call === undefined || !(calls instanceof OnceLedger) || why !== undefined) {
      if (!settings.runsOutside) throw onceOutside(why ?? '');
      warnOutside(why ?? '');
      return run(given.at(-1));
    }
    return (await runOnce(call, calls, settings, given, run)) as Result;
  };
}

function checked<Given extends unknown[], Result>(
  handler: object,
  options: OnceOptions<Given, Result>,
): Settings {
  refuseTaskHandler(checkFunction('the handler of once()', handler, 'a function'));
  checkNames('once()', options, NAMES);
  const { key, keepMs = DAY_MS, afterCrash, onDisconnect, anonymous, withoutEndpoint } = options;
  return {
    key: checkFunction(
      'key of once()',
      key,
      'a function of the arguments and the context',
    ) as Settings['key'],
    keepMs: checkNumber('keepMs of once()', keepMs, KEEP_RANGE),
    afterCrash:
      afterCrash === undefined || typeof afterCrash === 'function'
        ? afterCrash
        : checkChoice<'fail' | 'run'>('afterCrash of once()', afterCrash, ['fail', 'run']),
    endsWithClient:
      checkChoice('onDisconnect of once()', onDisconnect ?? 'finish', ['finish', 'abort']) ===
      'abort',
    isShared:
      anonymous !== undefined &&
      checkChoice('anonymous of once()', anonymous, ['shared']) === 'shared',
    runsOutside:
      withoutEndpoint !== undefined &&
      checkChoice('withoutEndpoint of once()', withoutEndpoint, ['run']) === 'run',
  };
}

async function runOnce(
  call: Call,
  calls: OnceLedger,
  settings: Settings,
  given: unknown[],
  run: (ctx: unknown) => unknown,
): Promise<unknown> {
  const tool = call.target ?? '';
  const ctx = given.at(-1);
  const signal = signalOf(ctx);
  const caller = { user: call.caller?.userKey, session: call.session?.id };
  const scope = scopeOf(caller, settings.isShared);
  if (scope === undefined) throw new CallRefusal(onceNeedsUser(tool));
  const { keepMs, endsWithClient, afterCrash } = settings;
  const id = entryId(scope, tool, keyOf(tool, settings.key(...(given as never[]))));
  return calls.run({
    entry: {
      id,
      tool,
      args: argumentsHash(id, call.sent?.params?.['arguments']),
      share: call.share,
      keepMs,
      endsWithClient,
    },
    session: caller.session,
    userKey: caller.user,
    signal,
    onExpiry: (then) => call.holds({ release: () => {}, expire: then }),
    ended: () => endOf(call),
    afterCrash: () => crashKind(call, settings, ctx),
    declaresOnce: call.marker && (async () => isRunOnce(await toolOfCall(call, ctx))),
    asks: (running) => asked(calls, afterCrash, withContext(given, detached(ctx, signal, running))),
    start: (running) => run(detached(ctx, signal, running)),
  });
}

function endOf(call: Call): OnceCallEnd {
  if (call.refusal !== undefined) return 'timedOut';
  const { end, live } = call;
  return live?.left === false && (end === 'cancelled' || end === 'answered') ? 'cancelled' : 'left';
}

async function crashKind(
  call: Call,
  { afterCrash }: Settings,
  ctx: unknown,
): Promise<AfterCrashKind> {
  if (typeof afterCrash === 'function') return 'ask';
  if (afterCrash !== undefined) return afterCrash;
  return isHarmless(await toolOfCall(call, ctx)) ? 'run' : 'fail';
}

function asked(
  { hookTimes }: OnceLedger,
  afterCrash: Settings['afterCrash'],
  given: unknown[],
): Promise<unknown> {
  const ask = async () => (afterCrash as (...of: unknown[]) => unknown)(...given);
  return inHookTime(hookTimes, { hook: 'afterCrash of once()', sessionId: undefined }, ask());
}

/**
 * The context of a handler whose client may leave before it ends. Its signal is that of the run. Without a client
 * notifications are dropped, because a rejection would stop the handler half-way, and questions are refused. `client`:
 * aborts when the client has left. `run`: aborts when the run must end.
 */
function detached(ctx: unknown, client: AbortSignal, run: AbortSignal): unknown {
  const notify: MethodWay = async (send) => {
    if (client.aborted) return undefined;
    try {
      return await send();
    } catch (cause) {
      if (client.aborted) return undefined;
      throw cause;
    }
  };
  const ask: MethodWay = (send, _given, name) => {
    if (!client.aborted) return send();
    throw new Error(
      `${name}(): the client of this call has left, and its run continues without one`,
    );
  };
  const asks = { send: ask, elicitInput: ask, requestSampling: ask, sendRequest: ask };
  return changedContext(
    ctx,
    run,
    { ...notifying(notify), ...asks },
    () => client.aborted || run.aborted,
  );
}

// ——— calls that no endpoint serves ———

function unfit({ method, sent }: Call): string | undefined {
  if (!callsTool(method)) return `once() is for tools, and this is ${method ?? 'no request'}`;
  return sent === undefined ? 'its request came with others in one body' : undefined;
}

let isWarned = false;

function warnOutside(why: string): void {
  if (isWarned) return;
  isWarned = true;
  process.emitWarning(`A handler of once() runs unprotected: ${why}`, 'SojournWarning');
}
