/**
 * The kernel's queue of those who have connected to a listening socket and were not accepted yet. When the socket closes they
 * are reset, and a proxy may not send such a request again; whoever is *refused* is sent to the next instance. So before it
 * closes, the queue is made as short as can be and filled with a connection of our own: whoever comes then gets no answer from
 * the kernel, asks again after a second, and is refused. What is left is a handshake under way in that very moment.
 *
 * Between the filling and the closing the event loop must not turn: it would accept our own connection. Hence `nextTick`, in
 * the order of its queue, and a socket that is made before: what comes in between waits for that second.
 *
 * On Linux alone is a queue of length 0 one of a single connection; elsewhere it is the longest. Node has no public name for
 * the length of a queue, nor for asking a socket that is connecting whether it is connected: where `_handle` is not what it has
 * been from Node 0.6 to 24, nothing is filled.
 */
import { type AddressInfo, type Server, Socket } from 'node:net';

interface ListeningHandle {
  listen(backlog: number): number;
}
interface ConnectingHandle {
  /** 0 once the kernel has connected it. */
  getpeername(out: object): number;
}

/** Of a socket that we can fill. */
export interface AcceptQueue {
  readonly listening: ListeningHandle;
  /** Where we reach ourselves: a numeric address, so that it is connected to in this turn. */
  readonly address: { readonly host: string; readonly port: number };
}

/** Node's own, which the server got when it began to listen. */
const USUAL_BACKLOG = 511;

/** `undefined`: it closes as it is. */
export function queueOf(server: Server): AcceptQueue | undefined {
  const listening = handleOf<ListeningHandle>(server);
  const address = addressOf(server);
  if (process.platform !== 'linux' || typeof listening?.listen !== 'function' || address === undefined)
    return undefined;
  return { listening, address };
}

/**
 * Calls back in this turn: with `true` when the queue holds our connection and no other, and takes none; with `false` when
 * somebody is in it, who is accepted in the next turn.
 */
export function fillQueue({ listening, address }: AcceptQueue, done: (isFull: boolean) => void): void {
  const ours = new Socket();
  // Reset when the server closes.
  ours.on('error', () => ours.destroy());
  process.nextTick(() => listening.listen(0));
  ours.connect(address);
  process.nextTick(() => {
    const isFull = handleOf<ConnectingHandle>(ours)?.getpeername({}) === 0;
    if (!isFull) {
      ours.destroy();
      listening.listen(USUAL_BACKLOG);
    }
    done(isFull);
  });
}

const handleOf = <T>(of: Server | Socket): T | undefined =>
  (of as unknown as { _handle?: T | null })._handle ?? undefined;

function addressOf(server: Server): AcceptQueue['address'] | undefined {
  const { address, port } = (server.address() ?? {}) as Partial<AddressInfo>;
  if (address === undefined || port === undefined) return undefined;
  if (address === '0.0.0.0') return { host: '127.0.0.1', port };
  return { host: address === '::' ? '::1' : address, port };
}
