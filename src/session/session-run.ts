/**
 * `runSessionHandler`: the user's code around one session on this instance (or around one stateless or modern request).
 *
 *     waiting ──run()──▶ running ──leave(reason)──▶ left
 *
 * `start` resolves when the handler called `run()`; it rejects when the handler throws or returns before that.
 * `run()`'s promise resolves with the reason in `leave`. A handler that returns while the session lives ends it.
 */
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { factoryFailed, hookReturned, type SojournError } from '../base/errors.ts';
import { afterTurn, within } from '../base/system.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { rejectUntilRun } from '../sdk/server-shape.ts';
import type { LeaveReason, McpHttpRequest, McpRequestRun, McpSession } from '../base/types.ts';
import { GRACE_MS, type HookTimes, inHookTime } from '../base/hook-time.ts';

export type EnterContext = <T>(fn: () => T) => T;

type SessionRunOptions = HookTimes &
  Pick<ResolvedOptions, 'runSessionHandler' | 'perSessionExecutionContext'>;

/** Whether sessions and requests have a run hook or a separate context. */
export const hasRun = ({
  runSessionHandler,
  perSessionExecutionContext,
}: SessionRunOptions): boolean => runSessionHandler !== undefined || perSessionExecutionContext;

export class SessionRun {
  readonly #options: SessionRunOptions;
  /** The handler returned or threw while its session or request lives. */
  readonly #handlerReturned: () => void;
  #enter: EnterContext | undefined;
  #resolveRun: ((reason: LeaveReason) => void) | undefined;
  #handler: Promise<void> | undefined;
  /** Why the session left. */
  #left: LeaveReason | undefined = undefined;
  #controller: AbortController | undefined = undefined;

  constructor(options: SessionRunOptions, handlerReturned: () => void) {
    this.#options = options;
    this.#handlerReturned = handlerReturned;
  }

  /**
   * With `perSessionExecutionContext`, runs `fn` (options callback, factory, run hook) in a separate context of the
   * session, so that `fn` does not change the context of the request.
   */
  inOwnContext<T>(fn: () => T): T {
    if (!this.#options.perSessionExecutionContext) return fn();
    return new AsyncResource('sojourn.session').runInAsyncScope(fn);
  }

  /** How handlers are entered; undefined: in the context of their request. */
  get enter(): EnterContext | undefined {
    return this.#enter;
  }

  start(request: McpHttpRequest, session: McpSession | McpRequestRun): Promise<void> {
    const { runSessionHandler: handler, logger } = this.#options;
    if (handler === undefined) {
      this.#capture();
      return Promise.resolve();
    }
    const called = rejectUntilRun(session.server);
    const started = new Promise<void>((resolve, reject) => {
      let running = false;
      const run = (): Promise<LeaveReason> => {
        if (running) throw new Error('run() was called twice; a session runs once');
        running = true;
        this.#capture();
        resolve();
        // `run()` was called after the hook's time was over, or its client left.
        if (this.#left !== undefined) return Promise.resolve(this.#left);
        return new Promise((settle) => (this.#resolveRun = settle));
      };
      const over = (early: () => SojournError): void => {
        if (!running) reject(early());
        else if (this.#left === undefined) this.#handlerReturned();
      };
      this.#handler = (async () => void (await handler(request, session, run)))().then(
        () => over(() => hookReturned('before it called run()')),
        (err: unknown) => {
          if (running)
            logger.warn(
              { err, sessionId: session.id },
              'runSessionHandler threw: its session ends',
            );
          over(() => factoryFailed('runSessionHandler threw before it called run()', err));
        },
      );
    });
    return inHookTime(
      this.#options,
      { hook: 'runSessionHandler', sessionId: session.id },
      started,
    ).finally(called);
  }

  /** Why the session left; `undefined`: it has not. */
  get left(): LeaveReason | undefined {
    return this.#left;
  }

  /** Aborts when the session leaves, with its reason. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#left !== undefined) this.#controller.abort(this.#left);
    }
    return this.#controller.signal;
  }

  /** Aborts the signal and resolves the handler's `run()`, because the session has left. Later calls do nothing. */
  leave(reason: LeaveReason): void {
    if (this.#left !== undefined) return;
    this.#left = reason;
    this.#controller?.abort(reason);
    this.#resolveRun?.(reason);
  }

  /** Resolves after the code that follows the handler's `run()` has had a turn of the event loop. */
  async heard(): Promise<void> {
    if (this.#resolveRun !== undefined) await new Promise<void>(afterTurn);
  }

  /** Resolves when the handler has returned, or its time is over. */
  async done(): Promise<void> {
    const { timeProvider, logger } = this.#options;
    if (this.#handler === undefined) return;
    await within(timeProvider, GRACE_MS, this.#handler, () =>
      logger.warn(
        { graceMs: GRACE_MS },
        'runSessionHandler is still running some time after its session ended or left',
      ),
    );
  }

  #capture(): void {
    if (this.#options.perSessionExecutionContext) this.#enter = AsyncLocalStorage.snapshot();
  }
}
