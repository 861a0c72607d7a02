/**
 * The load balancer of one side. It sends each request to the next instance (`turns`), or the requests of a session
 * to the instance that opened it (`affinity`).
 *
 * It holds the answer to a POST back until it is complete, at most HOLD_MS. As long as its client has no head, a POST
 * is sent again, to the next instance, when its connection breaks or its instance is out: twice a second the front asks
 * each for `/healthz`, and an instance that gives no answer for OUT_AFTER_MS gets no requests until it answers. Without
 * any instance a request waits. After the head the connection of the client breaks with that of the instance.
 *
 * An instance that relayed a call may die while the owner of the session runs it. The owner then refuses the second
 * attempt, because the id of the request is in use, and the front sends it again until the first attempt has ended.
 */
import {
  createServer,
  get,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface Upstream {
  readonly name: string;
  /** `undefined`: it does not listen. */
  readonly port: number | undefined;
}

export type Policy = 'turns' | 'affinity';

const PROBE_MS = 500;
const OUT_AFTER_MS = 2_000;
/** Between two looks for an instance, and two attempts of a POST whose first one still runs. */
const RETRY_MS = 25;
/** What the answer says to a POST whose first attempt still runs. */
const IN_FLIGHT = 'still in flight';
/** Longer than OUT_AFTER_MS, so that a call at a frozen instance is sent again too. */
const HOLD_MS = 3_000;
/** The calls per second are those of this time. */
const RATE_MS = 2_000;
const PAGE = '/dashboard/';
/** The client's connection and the instance's are two. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding']);

interface Seat {
  readonly upstream: Upstream;
  out: boolean;
  /** Requests without the head of an answer, and those of the dashboard's page. */
  readonly headless: Set<ClientRequest>;
  /** When it answered POSTs. */
  answered: number[];
}

/** What answers a request in place of an instance. `false`: it does not. */
interface AnswersItself {
  serve(req: IncomingMessage, res: ServerResponse): boolean;
}

interface Forwarded {
  readonly req: IncomingMessage;
  readonly body: Buffer;
  readonly res: ServerResponse;
  /** An attempt before may have reached an instance. */
  readonly isAgain: boolean;
}

/** `lost`: it got no head, so the next instance gets it. `refused`: its first attempt still runs. */
type Outcome = 'answered' | 'lost' | 'refused';

export class Front {
  readonly url: string;
  readonly #server: Server;
  readonly #seats: readonly Seat[];
  readonly #policy: Policy;
  readonly #own: AnswersItself | undefined;
  readonly #homes = new Map<string, Seat>();
  #next = 0;
  #closed = false;

  private constructor(server: Server, upstreams: readonly Upstream[], policy: Policy, own?: AnswersItself) {
    this.#server = server;
    this.#policy = policy;
    this.#own = own;
    this.#seats = upstreams.map((upstream) => ({ upstream, out: false, headless: new Set(), answered: [] }));
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    server.on('request', (req, res) => void this.#serve(req, res).catch(() => res.destroy()));
    for (const seat of this.#seats) void this.#watch(seat);
  }

  /** In front of what `upstreams` holds at the time of each request. */
  static async listen(upstreams: readonly Upstream[], policy: Policy, own?: AnswersItself): Promise<Front> {
    const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0, headersTimeout: 0 });
    await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done));
    return new Front(server, upstreams, policy, own);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  /** POSTs that an instance answered, per second. */
  rate(name: string): number {
    const seat = this.#seats.find(({ upstream }) => upstream.name === name);
    const from = performance.now() - RATE_MS;
    return seat === undefined ? 0 : (seat.answered.filter((at) => at > from).length * 1_000) / RATE_MS;
  }

  /** The name of the instance that opened a session. */
  homeOf(sessionId: string): string | undefined {
    return this.#homes.get(sessionId)?.upstream.name;
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    // The address of the front alone is short enough for the screen.
    if (req.url === '/') return void res.writeHead(307, { location: '/dashboard/' }).end();
    if (this.#own?.serve(req, res) === true) return;
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    let passed: Seat | undefined;
    for (let tries = 0; !res.destroyed && !this.#closed;) {
      const seat = this.#choose(req, passed);
      const outcome = seat === undefined ? 'refused' : await this.#ask(seat, { req, body, res, isAgain: tries > 0 });
      if (outcome === 'answered') return;
      if (outcome === 'refused') await delay(RETRY_MS);
      if (outcome === 'lost') tries += 1;
      passed = outcome === 'lost' ? seat : undefined;
    }
  }

  /** `passed` did not answer, so it comes last. */
  #choose(req: IncomingMessage, passed: Seat | undefined): Seat | undefined {
    const able = this.#seats.filter(({ upstream, out }) => upstream.port !== undefined && !out);
    const others = able.filter((seat) => seat !== passed);
    const home = this.#policy === 'affinity' ? this.#homes.get(String(req.headers['mcp-session-id'])) : undefined;
    if (home !== undefined && others.includes(home)) return home;
    const start = this.#next++ % this.#seats.length;
    const inTurn = [...this.#seats.slice(start), ...this.#seats.slice(0, start)];
    return inTurn.find((seat) => others.includes(seat)) ?? able[0];
  }

  #ask(seat: Seat, { req, body, res, isAgain }: Forwarded): Promise<Outcome> {
    const { method, url: path } = req;
    const headers = fieldsOf(req).concat('connection', 'close');
    const { port } = seat.upstream;
    return new Promise((resolve) => {
      const asked = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false });
      const leave = (): void => void asked.destroy();
      const failed = (): void => {
        seat.headless.delete(asked);
        res.off('close', leave);
        if (res.headersSent) res.destroy();
        resolve(res.headersSent ? 'answered' : 'lost');
      };
      seat.headless.add(asked);
      res.once('close', leave);
      asked.once('error', failed);
      asked.once('response', (answer) => {
        const held = new HeldAnswer(answer, method === 'POST' ? HOLD_MS : 0);
        held.cut.then(failed, failed);
        answer.once('close', () => seat.headless.delete(asked));
        void held.due.then(() => {
          // A page whose instance is out opens its stream again, at another one.
          if (path?.startsWith(PAGE) !== true || answer.complete) seat.headless.delete(asked);
          if (isAgain && held.text.includes(IN_FLIGHT)) {
            res.off('close', leave);
            asked.destroy();
            return resolve('refused');
          }
          this.#answered(seat, req, answer);
          res.writeHead(answer.statusCode ?? 502, fieldsOf(answer));
          held.passTo(res);
          resolve('answered');
        });
      });
      asked.end(body);
    });
  }

  #answered(seat: Seat, { method, headers }: IncomingMessage, answer: IncomingMessage): void {
    const opened = answer.headers['mcp-session-id'];
    if (typeof opened === 'string' && headers['mcp-session-id'] === undefined) this.#homes.set(opened, seat);
    if (method !== 'POST') return;
    const now = performance.now();
    seat.answered = seat.answered.filter((at) => at > now - RATE_MS);
    seat.answered.push(now);
  }

  async #watch(seat: Seat): Promise<void> {
    let heard = performance.now();
    let asks = false;
    let port: number | undefined;
    while (!this.#closed) {
      const { upstream } = seat;
      if (upstream.port !== port) {
        // Another process: it begins anew.
        port = upstream.port;
        heard = performance.now();
        asks = false;
      }
      if (port !== undefined && !asks) {
        const asked = port;
        asks = true;
        void isHealthy(asked).then((healthy) => {
          if (asked !== port) return;
          asks = false;
          if (healthy) heard = performance.now();
        });
      }
      seat.out = port !== undefined && performance.now() - heard > OUT_AFTER_MS;
      if (seat.out) for (const asked of seat.headless) asked.destroy(new Error('no answer'));
      await delay(seat.out ? RETRY_MS * 2 : PROBE_MS / 2, undefined, { ref: false });
    }
  }
}

/** The head of an answer and what has come of its body. */
class HeldAnswer {
  /** Resolves when it is complete, or after `ms`. */
  readonly due: Promise<void>;
  /** Resolves when the connection broke before the end of the answer. */
  readonly cut: Promise<void>;
  readonly #answer: IncomingMessage;
  #chunks: Buffer[] = [];
  #to: ServerResponse | undefined;

  constructor(answer: IncomingMessage, ms: number) {
    this.#answer = answer;
    answer.on('data', (chunk: Buffer) => (this.#to === undefined ? this.#chunks.push(chunk) : this.#to.write(chunk)));
    this.cut = new Promise((resolve) => answer.once('close', () => answer.complete || resolve()).on('error', () => {}));
    this.due = new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      answer.once('end', () => {
        clearTimeout(timer);
        resolve();
      });
      answer.once('close', () => clearTimeout(timer));
    });
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  passTo(res: ServerResponse): void {
    this.#to = res;
    res.flushHeaders();
    for (const chunk of this.#chunks.splice(0)) res.write(chunk);
    if (this.#answer.complete) res.end();
    else this.#answer.once('end', () => res.end());
  }
}

function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = get({ host: '127.0.0.1', port, path: '/healthz', agent: false, timeout: PROBE_MS }, (answer) => {
      answer.resume();
      resolve(true);
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => resolve(false));
  });
}

function fieldsOf({ rawHeaders }: IncomingMessage): string[] {
  const fields: string[] = [];
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const [name = '', value = ''] = rawHeaders.slice(n, n + 2);
    if (!HOP_BY_HOP.has(name.toLowerCase())) fields.push(name, value);
  }
  return fields;
}
