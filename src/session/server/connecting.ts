/**
 * When a server that is being connected gets its first message.
 *
 *     connecting ──settles──▶ connected: the message is delivered
 *         └──ASKS_MS──▶ slow ──settles──▶ connected
 *                        ├──rejects, or hookTimeoutMs is over──▶ refused: the client gets an error
 *                        └──asks who its client is──▶ asked: the message is delivered ──rejects──▶ failed
 *
 * A server may load something in `connect()`, or refuse its client there, so it gets no message before. But a server
 * that polls there for its client waits for `initialize`. Further messages do not wait for its `connect()` either, as
 * with the transports of the SDK.
 */
import type { Transport } from '@modelcontextprotocol/server';
import { within } from '../../base/system.ts';
import { watchClient } from '../../sdk/client-watch.ts';
import type { AnyServer } from '../../sdk/server-shape.ts';
import type { Authorizer } from '../calls/authorizer.ts';
import { type HookTimes, inHookTime } from '../hook-time.ts';

/** A `connect()` that only connects settles in the same turn. Servers that poll pause for longer. */
const ASKS_MS = 50;

export interface ConnectingTransport extends Transport {
  /** Its session has left, or its request is over. */
  readonly closed: boolean;
  /** `connect()` rejected after the message was delivered. */
  connectFailed(cause: unknown): void;
}

interface Connecting {
  readonly server: AnyServer;
  readonly transport: ConnectingTransport;
  readonly sessionId: string | undefined;
  readonly authorizer: Authorizer | undefined;
  readonly servers: { closeLate(server: AnyServer): void };
}

/** Resolves when the message may be delivered. Rejects with what the client is refused with. */
export async function untilConnected(times: HookTimes, connecting: Connecting): Promise<void> {
  const { server, transport, sessionId, servers } = connecting;
  // The session has left by then, so the server was closed before it was connected.
  const hook = { hook: 'the connect() of the server', sessionId, late: () => servers.closeLate(server) };
  const connected = Promise.resolve(server.connect(transport));
  if (times.hookTimeoutMs <= ASKS_MS) return inHookTime(times, hook, connected);
  if ((await within(times.timeProvider, ASKS_MS, connected, () => SLOW)) !== SLOW) return;
  const watch = watchClient(server, transport);
  const asked = watch.asked.then(() => ASKED);
  try {
    const first = await inHookTime(times, { ...hook, begunMs: ASKS_MS }, Promise.race([connected, asked]));
    if (first !== ASKED) return;
  } finally {
    watch.end();
  }
  connecting.authorizer?.asked(transport);
  connected.then(
    () => settled(connecting),
    (cause: unknown) => settled(connecting, { cause }),
  );
}

const SLOW = Symbol('slow');
const ASKED = Symbol('asked');

/** Its `connect()` has settled after the message was delivered. */
function settled({ server, transport, servers }: Connecting, failed?: { readonly cause: unknown }): void {
  if (transport.closed) servers.closeLate(server);
  else if (failed !== undefined) transport.connectFailed(failed.cause);
}
