/**
 * A notification without a session gets a new server. Its client gets 202 as soon as the server has the notification.
 * Its run hook, its place in `limits.requests` and its bytes last until the handler has settled. The SDK tells no
 * caller when that is, so this file wraps the handler in the server's table.
 */
import { BODY_WEIGHT } from '../http/exchange.ts';
import type { MemoryUse } from '../http/slow-readers.ts';
import { afterTurn } from '../options/system.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { type AnyServer, innerServer } from '../protocol/server-shape.ts';
import type { InboundPost } from '../relay/call.ts';
import { type HookTimes, inHookTime, isHookTimeout } from '../session/server/hook-time.ts';

type Handler = (...given: readonly unknown[]) => unknown;

/**
 * Call it in the context of the notification, before the server gets it. The returned function waits for the handler.
 */
export function watchHandler(server: AnyServer, method: string): () => Promise<void> {
  const inner = innerServer(server);
  const handlers = isObject(inner) ? inner['_notificationHandlers'] : undefined;
  let running: Promise<unknown> | undefined;
  const watched = (handler: Handler): Handler => {
    return (...given) => {
      const handling = (async () => handler(...given))();
      running = handling.catch(() => {});
      return handling;
    };
  };
  if (isObject(inner) && handlers instanceof Map) {
    const handler: unknown = handlers.get(method);
    const fallback = inner['fallbackNotificationHandler'];
    if (typeof handler === 'function') handlers.set(method, watched(handler as Handler));
    else if (typeof fallback === 'function') inner['fallbackNotificationHandler'] = watched(fallback as Handler);
  }
  return async () => {
    // The SDK starts a handler in a microtask.
    await new Promise<void>(afterTurn);
    await running;
  };
}

export interface NotificationHost {
  readonly times: HookTimes;
  readonly memory: MemoryUse;
}

interface AcceptedNotification {
  readonly post: InboundPost;
  /** `undefined`: no server got it. */
  readonly handled: (() => Promise<void>) | undefined;
}

/** Waits for the handler of a notification whose 202 was sent, at most `hookTimeoutMs`. */
export async function untilHandled(
  { times, memory }: NotificationHost,
  { post: { text, exchange }, handled }: AcceptedNotification,
): Promise<void> {
  if (handled === undefined) return;
  const bytes = BODY_WEIGHT * (text?.length ?? (Number(exchange.header('content-length')) || 0));
  memory.charge(bytes);
  try {
    await inHookTime(times, { hook: 'the handler of a notification', sessionId: undefined }, handled());
  } catch (cause) {
    // It is in the log.
    if (!isHookTimeout(cause)) throw cause;
  } finally {
    memory.give(bytes);
  }
}
