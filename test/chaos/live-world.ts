/**
 * A deployment of real processes as its clients see it: real time, and HTTP to the next instance. Where a connection is
 * refused the one after it is tried, as nginx does with `proxy_next_upstream error` and one `proxy_pass` per request.
 * What clients send and see goes into a ledger, which is judged as that of a simulated world is.
 */
import { Agent, request as httpRequest } from 'node:http';
import type { ClientWorld } from '../simulation/client-world.ts';
import { type HttpRequest, Response, type SseEvent } from '../simulation/exchange.ts';
import { Ledger } from '../simulation/ledger.ts';
import type { Planned } from '../simulation/scheduler.ts';

/** An instance. */
export interface Upstream {
  readonly port: number;
  /** The name of its start. */
  readonly start: string;
}

/** ms since 1970, never going back; the servers' lines in the effects file have the same. */
export const now = (): number => performance.timeOrigin + performance.now();

/** An HTTP answer that is no 2xx. */
export interface Refusal {
  readonly at: number;
  readonly status: number;
  readonly text: string;
  readonly retryAfter: boolean;
  readonly what: string;
  readonly instance: string;
}

export class LiveWorld implements ClientWorld {
  readonly ledger = new Ledger();
  /** The next instance is asked, whatever the slot. */
  readonly slots = { length: 1 };
  upstreams: readonly Upstream[] = [];
  readonly scheduler: ClientWorld['scheduler'];
  activeUntil = Infinity;
  healed = false;
  readonly tries = 10;
  /** The default. */
  readonly maxWaitMs = 15_000;
  readonly refusals: Refusal[] = [];
  /** Connections that broke with a request on its way, or under a stream. */
  readonly broken: Array<{
    readonly at: number;
    readonly what: string;
    readonly instance: string;
  }> = [];
  /** A line for everything that happened. */
  readonly trace: string[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Each request has its own connection. */
  readonly #agent = new Agent();
  #closed = false;
  #next = 0;

  constructor() {
    // Instances come and go behind one address: any may stop, and refuse what waits there.
    this.ledger.retired.push({ slot: 0, from: 0 });
    const after = (ms: number, fn: () => void): Planned => {
      const planned: Planned = { at: now() + ms, fn };
      if (this.#closed) return planned;
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        planned.fn?.();
      }, ms);
      this.#timers.add(timer);
      return planned;
    };
    this.scheduler = {
      after,
      sleep: (ms) => new Promise((resolve) => void after(ms, resolve)),
      cancel: (planned) => (planned.fn = undefined),
    };
  }

  get now(): number {
    return now();
  }

  get storeNow(): number {
    return now();
  }

  get closed(): boolean {
    return this.#closed;
  }

  note(what: string): void {
    this.trace.push(`${now().toFixed(3)} ${what}`);
  }

  wrong(what: string): void {
    this.note(`VIOLATION ${what}`);
    this.ledger.violations.push(what);
  }

  hasEnded(session: string): boolean {
    return this.ledger.sessions.get(session)?.deleteSentAt !== undefined;
  }

  http(_slot: number, request: HttpRequest, onEvent?: (event: SseEvent) => void): Response {
    const response = new Response(0, onEvent);
    if (!this.#closed) this.#ask(this.#inTurn(), request, response);
    return response;
  }

  /** All instances, the next one first. */
  #inTurn(): readonly Upstream[] {
    const from = this.#next++ % this.upstreams.length;
    return [...this.upstreams.slice(from), ...this.upstreams.slice(0, from)];
  }

  #ask([upstream, ...others]: readonly Upstream[], request: HttpRequest, response: Response): void {
    if (upstream === undefined) return response.finish('refused');
    const { port, start: instance } = upstream;
    const { method, headers, body, authInfo } = request;
    const user = authInfo === undefined ? {} : { 'x-user': authInfo.clientId };
    const asked = httpRequest(urlOf(port), {
      method,
      headers: { ...headers, ...user },
      agent: this.#agent,
    });
    const what = `${method} ${body?.slice(0, 80) ?? ''}`;
    const cut = (): void => {
      if (response.abandoned || this.#closed) return;
      this.broken.push({ at: now(), what, instance });
      response.finish('cut');
    };
    response.close = () => {
      response.abandoned = true;
      response.finish('cut');
      asked.destroy();
    };
    asked.on('error', (error) => {
      if (isRefused(error) && !response.abandoned && !this.#closed)
        this.#ask(others, request, response);
      else cut();
    });
    asked.on('response', (answer) => {
      const { statusCode: status = 0, headers: given } = answer;
      response.head(
        status,
        new Map(Object.entries(given).map(([name, value]) => [name, String(value)])),
      );
      answer.setEncoding('utf8').on('data', (text: string) => response.text(text));
      // 'close' reports the end.
      answer.on('error', () => undefined);
      answer.on('close', () => {
        if (!answer.complete) return cut();
        const refusal = {
          at: now(),
          status,
          text: response.body,
          retryAfter: 'retry-after' in given,
          what,
          instance,
        };
        if (status >= 300) this.refusals.push(refusal);
        response.finish('complete');
      });
    });
    asked.end(body);
  }

  /** The same for official clients. */
  readonly fetch: typeof fetch = async (_, init) => {
    const headers = new Headers(init?.headers);
    headers.set('connection', 'close');
    let refused: unknown;
    for (const { port } of this.#inTurn()) {
      try {
        return await fetch(urlOf(port), { ...init, headers });
      } catch (error) {
        if (!isRefused((error as Error).cause)) throw error;
        refused = error;
      }
    }
    throw refused;
  };

  /** Time stops for its clients: none of them sends anything more. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#agent.destroy();
  }
}

const urlOf = (port: number): string => `http://127.0.0.1:${port}/mcp`;
const isRefused = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED';
