/**
 * Tells the application: `observe` and `endpoint.notices` the notices that are public, `onerror` what handlers throw.
 * Log lines about both are in `log-lines.ts`.
 */
import type { EventEmitter } from 'node:events';
import { guardedCall } from '../guarded-call.ts';
import { sessionHash } from '../shown.ts';
import { takesName } from '../protocol/methods.ts';
import type { ErrorContext, Logger, OnError } from '../types.ts';
import type {
  EmittedNotice,
  EndpointNotices,
  HandlerThrewNotice,
  Notice,
  Notices,
} from './notices.ts';

/** Called in the turn in which something happens. What it returns is ignored. */
export type Observe = (notice: Notice) => unknown;

/** What `observe` throws or rejects with ends here. */
export function observeNotices(notices: Notices, observe: Observe, logger: Logger): void {
  const failed = (cause: unknown): void => logger.warn({ err: cause }, 'observe threw');
  const tell = (notice: EmittedNotice): void => {
    if (notice.kind === 'request' || notice.kind === 'handlerThrew') return;
    guardedCall(() => observe(publicNotice(notice)), failed);
  };
  notices.listen(tell, { calls: true });
}

/** A listener that throws ends here too. */
export function publishNotices(notices: Notices, published: EndpointNotices, logger: Logger): void {
  const emitter: EventEmitter = published;
  emitter.on('newListener', (kind: string) => {
    if (kind === 'callEnded') notices.wantsCalls = true;
  });
  notices.listen((notice) => {
    if (notice.kind === 'request' || notice.kind === 'handlerThrew') return;
    if (emitter.listenerCount(notice.kind) === 0) return;
    guardedCall(
      () => emitter.emit(notice.kind, publicNotice(notice)),
      (cause) =>
        logger.warn({ err: cause, event: notice.kind }, 'A listener of endpoint.notices threw'),
    );
  });
}

/** A copy, because the notice reaches other listeners too. */
function publicNotice(
  notice: Exclude<EmittedNotice, { readonly kind: 'request' | 'handlerThrew' }>,
): Notice {
  if (notice.kind !== 'requestRefused') return { ...notice };
  const { exchange: _, ...refused } = notice;
  return refused;
}

export function reportThrown(notices: Notices, onerror: OnError, logger: Logger): void {
  notices.listen((notice) => {
    if (notice.kind === 'handlerThrew')
      callOnError(onerror, thrownError(notice.error), logger, contextOf(notice));
  });
}

export const ONERROR_THREW = 'onerror threw';

/** What `onerror` throws or rejects with ends here. */
export function callOnError(
  onerror: OnError,
  error: Error,
  logger: Logger,
  context?: ErrorContext,
): void {
  guardedCall(
    () => onerror(error, context),
    (cause) => logger.warn({ err: cause }, ONERROR_THREW),
  );
}

/** The SDK refused a request by itself: the log has it at debug level. */
export function tellRefused({ onerror, logger }: RefusalListener, err: Error, what: string): void {
  logger.debug({ err }, what);
  if (onerror !== undefined) callOnError(onerror, err, logger);
}

interface RefusalListener {
  readonly onerror: OnError | undefined;
  readonly logger: Logger;
}

/** Trackers of errors group them by their stack, so another value gets one. */
function thrownError(cause: unknown): Error {
  if (cause instanceof Error) return cause;
  return new Error(`A handler threw ${cause === null ? 'null' : typeof cause}`, { cause });
}

function contextOf({ method, target, sessionId }: HandlerThrewNotice): ErrorContext {
  // The URI of a resource may hold a secret.
  const isNamed = target !== undefined && takesName(method);
  return {
    method,
    ...(isNamed && { target }),
    ...(sessionId !== undefined && { sessionHash: sessionHash(sessionId) }),
  };
}
