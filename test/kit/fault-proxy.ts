/**
 * A TCP proxy that breaks connections on demand: cut, slow, silent, refusing, or broken in the middle of a response. It
 * knows nothing of HTTP. Faults apply to open connections and to later ones.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

export interface FaultProxyTarget {
  /** On 127.0.0.1. */
  readonly port: number;
}

/** One connection through the proxy. */
interface Link {
  readonly silence: (on: boolean) => void;
  readonly cut: () => void;
  /** Bytes of the response that may still pass. */
  left: number;
}

export class FaultProxy {
  /** The port of the proxy, on 127.0.0.1. */
  readonly port: number;
  /** Connections since the start. */
  accepted = 0;
  readonly #server: Server;
  readonly #target: FaultProxyTarget;
  readonly #links = new Set<Link>();
  #delayMs = 0;
  #silent = false;
  #responseBytes = Infinity;
  #refusing = false;

  constructor(server: Server, target: FaultProxyTarget) {
    this.#server = server;
    this.#target = target;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => this.#accept(client));
  }

  /** Delays every byte, in both directions, by this time; the order stays. 0: no delay. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /**
   * `true`: nothing passes in either direction, no end either, so neither side notices. `false`: bytes sent during the
   * silence arrive, as on a network that drops packets for a while.
   */
  blackHole(on: boolean): void {
    this.#silent = on;
    for (const { silence } of this.#links) silence(on);
  }

  /** Cuts each connection once this many further bytes have come back from the target. */
  cutAfter(bytes: number): void {
    this.#responseBytes = bytes;
    for (const link of this.#links) link.left = bytes;
  }

  /** `true`: a new connection is reset at once. */
  refuse(on: boolean): void {
    this.#refusing = on;
  }

  /** Resets every open connection, on both sides. */
  cutAll(): void {
    for (const { cut } of this.#links) cut();
  }

  /** Removes every fault. Cut connections stay cut. */
  heal(): void {
    this.delay(0);
    this.blackHole(false);
    this.cutAfter(Infinity);
    this.refuse(false);
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
    this.accepted++;
    if (this.#refusing) {
      client.on('error', ignore);
      client.resetAndDestroy();
      return;
    }
    const { port } = this.#target;
    const server = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    client.setNoDelay(true);
    const sides = [client, server];
    const cut = (): void => {
      for (const socket of sides) {
        if (socket.destroyed) continue;
        // A reset is delayed while a connection is being made, and fails while it is being ended: the handle would leak.
        if (socket.connecting || socket.writableEnded) socket.destroy();
        else socket.resetAndDestroy();
      }
    };
    const requests = this.#way((chunk) => chunk);
    const answers = this.#way((chunk) => {
      const last = chunk.length < link.left ? undefined : chunk.subarray(0, link.left);
      link.left -= chunk.length;
      if (last === undefined) return chunk;
      // A reset could overtake the last bytes, so this client gets them and then an end.
      client.end(last, () => {
        client.destroy();
        cut();
      });
      return undefined;
    });
    client.pipe(requests);
    server.pipe(answers);
    const silence = (on: boolean): void => {
      if (on) for (const way of [requests, answers]) way.unpipe();
      else {
        requests.pipe(server);
        answers.pipe(client);
      }
    };
    const link: Link = { silence, cut, left: this.#responseBytes };
    if (!this.#silent) silence(false);
    this.#links.add(link);
    for (const socket of sides) {
      socket.on('error', ignore);
      socket.on('close', (failed: boolean) => {
        // A broken side breaks the other one; a side that ended has already passed its end on.
        if (failed) cut();
        if (sides.every(({ closed }) => closed)) this.#links.delete(link);
      });
    }
  }

  /** Bytes on their way in one direction. */
  #way(pass: (chunk: Buffer) => Buffer | undefined): Transform {
    let before = Promise.resolve();
    const way: Transform = new Transform({
      transform: (chunk: Buffer, _, done) => {
        const delayed = this.#delayMs > 0 ? pause(this.#delayMs) : undefined;
        before = Promise.all([before, delayed]).then(() => {
          const passed = pass(chunk);
          if (passed !== undefined) way.push(passed);
          if (delayed === undefined) done();
        });
        if (delayed !== undefined) done();
      },
      flush: (done) => void before.then(() => done()),
    });
    return way;
  }
}

const ignore = (): void => undefined;

/** Listens on a free port of 127.0.0.1, in front of the target. */
export async function createFaultProxy(target: FaultProxyTarget): Promise<FaultProxy> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new FaultProxy(server, target);
}
