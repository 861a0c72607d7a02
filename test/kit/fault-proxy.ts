/**
 * A TCP proxy that breaks connections on demand: cut, slow, silent, refusing, or broken in the middle of a response. It
 * knows nothing of HTTP. Faults apply to open connections and to later ones.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { systemTime } from '../../src/base/system.ts';

export interface FaultProxyTarget {
  /** On 127.0.0.1. */
  readonly port: number;
}

export class FaultProxy {
  /** The port of the proxy, on 127.0.0.1. */
  readonly port: number;
  readonly #server: Server;
  readonly #target: FaultProxyTarget;
  readonly #links = new Set<Link>();
  readonly #faults: Faults = { delayMs: 0, silent: false, responseBytes: undefined };
  #refusing = false;
  #accepted = 0;

  constructor(server: Server, target: FaultProxyTarget) {
    this.#server = server;
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => this.#accept(client));
  }

  /** Connections since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Delays every byte, in both directions, by this time; the order stays. 0: no delay. */
  delay(ms: number): void {
    this.#faults.delayMs = ms;
  }

  /**
   * `true`: nothing passes in either direction, no end either, so neither side notices. `false`: bytes sent during the
   * silence arrive, as on a network that drops packets for a while.
   */
  blackHole(on: boolean): void {
    this.#faults.silent = on;
    for (const link of this.#links) link.flow();
  }

  /** Cuts each connection once this many further bytes have come back from the target. Undefined: no limit. */
  cutAfter(bytes: number | undefined): void {
    this.#faults.responseBytes = bytes;
    for (const link of this.#links) link.countAgain();
  }

  /** `true`: a new connection is reset at once. */
  refuse(on: boolean): void {
    this.#refusing = on;
  }

  /** Resets every open connection, on both sides. */
  cutAll(): void {
    for (const link of this.#links) link.cut();
  }

  /** Removes every fault. Bytes that were delayed pass now; cut connections stay cut. */
  heal(): void {
    this.delay(0);
    this.blackHole(false);
    this.cutAfter(undefined);
    this.refuse(false);
    for (const link of this.#links) link.flow(Infinity);
  }

  async close(): Promise<void> {
    // Connections that are established but not accepted yet.
    this.#refusing = true;
    this.cutAll();
    await new Promise<void>((done) => this.#server.close(() => done()));
    // A target that does not end its side.
    this.cutAll();
  }

  #accept(client: Socket): void {
    this.#accepted++;
    if (this.#refusing) {
      client.on('error', ignore);
      client.resetAndDestroy();
      return;
    }
    const server = connect({
      port: this.#target.port,
      host: '127.0.0.1',
      noDelay: true,
      allowHalfOpen: true,
    });
    client.setNoDelay(true);
    const link = linkOf(client, server, this.#faults, () => this.#links.delete(link));
    this.#links.add(link);
  }
}

/** Shared by all connections and changed in place. */
interface Faults {
  delayMs: number;
  silent: boolean;
  responseBytes: number | undefined;
}

/** One connection through the proxy. */
interface Link {
  /** Passes what is due at this time; default: now. */
  flow(time?: number): void;
  countAgain(): void;
  cut(): void;
}

function linkOf(client: Socket, server: Socket, faults: Faults, closed: () => void): Link {
  let responseBytes = 0;
  const flows = [
    flowOf(client, server, faults, (bytes) => bytes),
    flowOf(server, client, faults, (bytes) => {
      const limit = faults.responseBytes;
      if (limit === undefined) return bytes;
      const left = limit - responseBytes;
      responseBytes += bytes.length;
      if (bytes.length < left) return bytes;
      // A reset could overtake the last bytes, so this client gets them and then an end.
      client.end(bytes.subarray(0, Math.max(0, left)), () => {
        client.destroy();
        cut();
      });
      return Buffer.alloc(0);
    }),
  ];
  const cut = (): void => {
    for (const socket of [client, server]) {
      if (socket.destroyed) continue;
      // A reset is delayed while a connection is being made, and fails while it is being ended: the handle would leak.
      if (socket.connecting || socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  let open = 2;
  for (const socket of [client, server]) {
    socket.on('error', ignore);
    socket.on('close', (failed: boolean) => {
      // A broken side breaks the other one; a side that ended has already passed its end on.
      if (failed) cut();
      if (--open === 0) closed();
    });
  }
  const flow = (time?: number): void => flows.forEach((one) => one(time));
  flow();
  return { flow, cut, countAgain: () => (responseBytes = 0) };
}

/**
 * Passes the bytes of one socket on to the other, in order. Returns a function that passes on what is due, and reads
 * more when there is room.
 */
function flowOf(
  from: Socket,
  to: Socket,
  faults: Faults,
  pass: (bytes: Buffer) => Buffer,
): Link['flow'] {
  /** Chunks on their way; the end comes last. */
  const waiting: Array<{ readonly at: number; readonly bytes: Buffer | 'end' }> = [];
  let timer: unknown;
  const write = (bytes: Buffer | 'end'): void => {
    if (to.destroyed || to.writableEnded) return;
    const passed = bytes === 'end' ? bytes : pass(bytes);
    if (passed === 'end') to.end();
    else if (passed.length > 0) to.write(passed);
  };
  const flow = (now: number = systemTime.now()): void => {
    systemTime.clearTimeout(timer);
    if (to.destroyed) waiting.length = 0;
    if (faults.silent) return void from.pause();
    for (let next = waiting[0]; next !== undefined && next.at <= now; next = waiting[0]) {
      waiting.shift();
      write(next.bytes);
    }
    const next = waiting[0];
    if (next !== undefined) timer = systemTime.setTimeout(flow, next.at - now);
    if (to.writableNeedDrain) from.pause();
    else from.resume();
  };
  const put = (bytes: Buffer | 'end'): void => {
    waiting.push({ at: systemTime.now() + faults.delayMs, bytes });
    flow();
  };
  from.on('data', put);
  from.on('end', () => put('end'));
  to.on('drain', () => flow());
  to.on('close', () => flow());
  return flow;
}

const ignore = (): void => undefined;

/** Listens on a free port of 127.0.0.1, in front of the target. */
export async function createFaultProxy(target: FaultProxyTarget): Promise<FaultProxy> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new FaultProxy(server, target);
}
