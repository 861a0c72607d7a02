/**
 * The load balancer of one side. It sends each request to the next instance, or the requests of a session to the
 * instance that opened it (`affinity`).
 *
 * It holds the answer to a POST back until it is complete. When its connection breaks, or its instance gives no answer
 * to `/healthz` for a second and a half, the POST goes to the next instance. Without any instance a request waits. A GET
 * stream breaks with its instance, and its client opens it again.
 *
 * The first attempt of a POST may still run at the owner of its session, which then refuses the second one, because the
 * id of the request is in use: the front sends it again until the first has ended.
 */
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const PROBE_MS = 500;
const OUT_AFTER_MS = 1_500;
const RETRY_MS = 25;
const IN_FLIGHT = 'still in flight';
/** Those of one connection, and what `fetch` and `node:http` set by themselves. */
const OF_CONNECTION =
  /^(connection|keep-alive|transfer-encoding|content-length|content-encoding|host|expect)$/i;

const kept = (fields) =>
  Object.fromEntries([...fields].filter(([name]) => !OF_CONNECTION.test(name)));

export class Front {
  #seats;
  #hasAffinity;
  #homes = new Map();
  #next = 0;
  #server = createServer({ keepAliveTimeout: 120_000 });
  #closed = false;

  constructor(instances, { affinity }) {
    this.#seats = instances.map((instance) => ({ instance, out: false, asked: new Set() }));
    this.#hasAffinity = affinity;
    this.#server.on('request', (req, res) => void this.#serve(req, res).catch(() => res.destroy()));
  }

  /** Resolves with the address of the endpoint. */
  async listen() {
    await new Promise((done) => this.#server.listen(0, '127.0.0.1', done));
    for (const seat of this.#seats) void this.#watch(seat);
    return `http://127.0.0.1:${this.#server.address().port}/mcp`;
  }

  close() {
    this.#closed = true;
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #serve(req, res) {
    const body = req.method === 'POST' ? await buffer(req) : undefined;
    const left = new AbortController();
    res.once('close', () => left.abort());
    for (let tries = 0; !res.destroyed && !this.#closed;) {
      const seat = this.#choose(req.headers['mcp-session-id']);
      const outcome =
        seat === undefined
          ? 'retry'
          : await this.#ask(seat, req, res, { body, left, isAgain: tries > 0 });
      if (outcome === 'answered') return;
      if (outcome === 'lost') tries += 1;
      await delay(RETRY_MS);
    }
  }

  #choose(sessionId) {
    const able = this.#seats.filter(
      ({ instance, out }) => !out && /serving|draining|frozen/.test(instance.state),
    );
    const home = this.#hasAffinity ? this.#homes.get(sessionId) : undefined;
    return able.includes(home) ? home : able[this.#next++ % able.length];
  }

  async #ask(seat, req, res, { body, left, isAgain }) {
    const url = `http://127.0.0.1:${seat.instance.port}${req.url}`;
    const asked = new AbortController();
    const signal = AbortSignal.any([asked.signal, left.signal]);
    seat.asked.add(asked);
    try {
      const answer = await fetch(url, {
        method: req.method,
        headers: kept(Object.entries(req.headers)),
        body,
        signal,
      });
      if (body === undefined) return await this.#stream(answer, res);
      const content = Buffer.from(await answer.arrayBuffer());
      if (isAgain && content.includes(IN_FLIGHT)) return 'retry';
      const opened = answer.headers.get('mcp-session-id');
      if (opened !== null && !this.#homes.has(opened)) this.#homes.set(opened, seat);
      res.writeHead(answer.status, kept(answer.headers)).end(content);
      return 'answered';
    } catch {
      if (res.headersSent) res.destroy();
      return res.headersSent ? 'answered' : 'lost';
    } finally {
      seat.asked.delete(asked);
    }
  }

  async #stream(answer, res) {
    res.writeHead(answer.status, kept(answer.headers)).flushHeaders();
    if (answer.body !== null)
      for await (const chunk of Readable.fromWeb(answer.body)) res.write(chunk);
    res.end();
    return 'answered';
  }

  async #watch(seat) {
    let heard = performance.now();
    while (!this.#closed) {
      if (seat.instance.state === 'serving' && !seat.out)
        await delay(PROBE_MS, undefined, { ref: false });
      const healthy = await seat.instance.isHealthy(OUT_AFTER_MS);
      if (healthy) heard = performance.now();
      seat.out = !healthy && performance.now() - heard >= OUT_AFTER_MS;
      if (seat.out) for (const asked of seat.asked) asked.abort();
      await delay(RETRY_MS, undefined, { ref: false });
    }
  }
}
