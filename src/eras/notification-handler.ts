/**
 * A notification without a session gets a new server. Its client gets 202 as soon as the server has the notification.
 * Its run hook, its place in `limits.requests` and its bytes last until the handler has settled.
 */
import { afterTurn } from '../options/system.ts';
import type { HandlerWork } from '../session/calls/handler-work.ts';
import { type HookTimes, inHookTime, isHookTimeout } from '../session/server/hook-time.ts';

/** Waits for the handler of a notification whose 202 was sent, at most `hookTimeoutMs`. */
export async function untilHandled(times: HookTimes, work: HandlerWork): Promise<void> {
  // The SDK starts a handler in a microtask.
  await new Promise<void>(afterTurn);
  const settled = new Promise<void>((release) => work.holds({ release }));
  work.end();
  try {
    await inHookTime(times, { hook: 'the handler of a notification', sessionId: undefined }, settled);
  } catch (cause) {
    // It is in the log.
    if (!isHookTimeout(cause)) throw cause;
  }
}
