/**
 * When a server that is being connected gets its first message: as soon as its `connect()` has settled, or LISTENS_MS
 * later than the server listens to its transport.
 *
 *     connecting ──settles──▶ connected: the message is delivered
 *         ├──rejects, or hookTimeoutMs is over──▶ refused: the client gets an error
 *         └──LISTENS_MS, the server listens──▶ listening: the message is delivered ──rejects──▶ failed
 *
 * A server that polls in `connect()` for its client waits for `initialize`. A server that loads something there, or
 * refuses its client, does so before it connects the SDK's server, and gets no message before. Further messages do not
 * wait for its `connect()` either, as with the transports of the SDK.
 */
import { within } from '../../base/system.ts';
import { type AnyServer, isOwnOfSdk } from '../../sdk/server-shape.ts';
import { type HookTimes, inHookTime } from '../../base/hook-time.ts';
import type { ServerTransport } from './server-transport.ts';

/** A `connect()` that only connects settles in the same turn. Servers that poll pause for longer. */
const LISTENS_MS = 100;

interface Connecting {
  readonly server: AnyServer;
  readonly transport: ServerTransport;
  readonly sessionId: string | undefined;
  readonly servers: { closeLate(server: AnyServer): void };
}

/** Resolves when the message may be delivered. Rejects with what the client is refused with. */
export function untilConnected(times: HookTimes, connecting: Connecting): Promise<void> {
  const { server, transport } = connecting;
  // That method only connects.
  return isOwnOfSdk(server, 'connect') ? server.connect(transport) : watched(times, connecting);
}

async function watched(
  times: HookTimes,
  { server, transport, sessionId, servers }: Connecting,
): Promise<void> {
  // The session has left by then, so the server was closed before it was connected.
  const late = (): void => servers.closeLate(server);
  const connected = Promise.resolve(server.connect(transport));
  let begunMs = 0;
  while (begunMs + LISTENS_MS < times.hookTimeoutMs) {
    if ((await within(times.timeProvider, LISTENS_MS, connected, () => SLOW)) !== SLOW) return;
    if (transport.onmessage !== undefined)
      return void connected.then(
        () => transport.closed && late(),
        (cause: unknown) => (transport.closed ? late() : transport.connectFailed(cause)),
      );
    begunMs += LISTENS_MS;
  }
  await inHookTime(
    times,
    { hook: 'the connect() of the server', sessionId, late, begunMs },
    connected,
  );
}

const SLOW = Symbol('slow');
