/**
 * The kernel's queue of clients that have connected to a listening socket and were not accepted yet. Closing the socket
 * resets these connections, and a proxy may not send such a request again. A *refused* connection is sent to the next
 * instance. So before the socket closes, this process makes the queue as short as possible and fills it with a
 * connection to itself. A client that connects then gets no answer from the kernel, retries after a second, and is
 * refused. Only a handshake under way at that very moment can still be reset.
 *
 * The event loop must not turn between filling and closing, or it would accept this process's own connection. Hence
 * `nextTick`, in the order of its queue, and a socket that exists before. Clients that connect in between wait for that
 * second.
 *
 * Only on Linux does a queue of length 0 hold one connection; elsewhere it has the greatest length. Node has no public
 * API for the length of a queue, nor for asking a connecting socket whether it is connected. Where `_handle` differs
 * from Node 0.6 to 26, nothing is filled; its tests run on each version of Node that sojourn takes.
 */
import { type AddressInfo, type Server, Socket } from 'node:net';

interface UvListening {
  listen(backlog: number): number;
}
interface UvConnecting {
  /** Returns 0 once the kernel has connected the socket. */
  getpeername(out: object): number;
}

/** A listening socket whose queue can be filled. */
export interface AcceptQueue {
  readonly listening: UvListening;
  /** Where this process reaches itself: a numeric address, so that the connection is made in this turn. */
  readonly address: { readonly host: string; readonly port: number };
}

/** Node's default, which the server got when it began to listen. */
const USUAL_BACKLOG = 511;

/** `undefined`: the queue cannot be filled, and the socket closes as it is. */
export function queueOf(server: Server): AcceptQueue | undefined {
  const listening = handleOf<UvListening>(server);
  const address = addressOf(server);
  if (
    process.platform !== 'linux' ||
    typeof listening?.listen !== 'function' ||
    address === undefined
  )
    return undefined;
  return { listening, address };
}

/**
 * Calls back in this turn. `true`: the queue holds only this process's connection and accepts no other. `false`: a
 * client is in the queue, and the next turn accepts it.
 */
export function fillQueue(
  { listening, address }: AcceptQueue,
  done: (isFull: boolean) => void,
): void {
  const ours = new Socket();
  // Closing the server resets it.
  ours.on('error', () => ours.destroy());
  process.nextTick(() => listening.listen(0));
  ours.connect(address);
  process.nextTick(() => {
    const isFull = handleOf<UvConnecting>(ours)?.getpeername({}) === 0;
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
