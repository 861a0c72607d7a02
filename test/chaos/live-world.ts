/**
 * A deployment of real processes as its clients see it: real time, and HTTP to its load balancer. What they send and
 * see goes into a ledger, which is judged as that of a simulated world is.
 */
import { Agent, type IncomingMessage, request as httpRequest } from 'node:http';
import type { ClientWorld } from '../simulation/client-world.ts';
import { type HttpRequest, Response, type SseEvent } from '../simulation/exchange.ts';
import { Ledger } from '../simulation/ledger.ts';
import type { Planned } from '../simulation/scheduler.ts';
import { NO_INSTANCE } from './proxy.ts';

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
  /** The load balancer decides. */
  readonly slots = { length: 1 };
  readonly scheduler: ClientWorld['scheduler'];
  activeUntil = Infinity;
  healed = false;
  readonly tries = 10;
  readonly refusals: Refusal[] = [];
  /** Connections that broke with a request on its way, or under a stream. */
  readonly broken: Array<{ readonly at: number; readonly what: string; readonly instance: string }> = [];
  /** A line for everything that happened. */
  readonly trace: string[] = [];
  /** Of the load balancer. */
  url = '';
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #agent = new Agent({ keepAlive: true });
  #closed = false;

  constructor() {
    // Instances come and go behind one address: any may stop, and refuse what waits there.
    this.ledger.retired.push({ slot: 0, from: 0 });
    const after = (ms: number, fn: () => void): Planned => {
      const planned: Planned = { at: now() + ms, order: 0, fn };
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
    if (this.#closed) return response;
    const { method, headers, body, authInfo } = request;
    const user = authInfo === undefined ? {} : { 'x-user': authInfo.clientId };
    const asked = httpRequest(this.url, { method, headers: { ...headers, ...user }, agent: this.#agent });
    const what = `${method} ${body?.slice(0, 80) ?? ''}`;
    const cut = (instance: string): void => {
      if (response.abandoned || this.#closed) return;
      this.broken.push({ at: now(), what, instance });
      response.finish('cut');
    };
    response.close = () => {
      response.abandoned = true;
      response.finish('cut');
      asked.destroy();
    };
    asked.on('error', () => cut(''));
    asked.on('response', (answer) => {
      const instance = String(answer.headers['x-instance']);
      if (answer.statusCode !== 502) return this.#take(response, answer, what, () => cut(instance));
      if (instance === NO_INSTANCE) response.finish('refused');
      else cut(instance);
      answer.resume();
    });
    asked.end(body);
    return response;
  }

  #take(response: Response, answer: IncomingMessage, what: string, cut: () => void): void {
    const { statusCode: status = 0, headers } = answer;
    response.head(status, new Map(Object.entries(headers).map(([name, value]) => [name, String(value)])));
    answer.setEncoding('utf8').on('data', (text: string) => response.text(text));
    // 'close' reports the end.
    answer.on('error', () => undefined);
    answer.on('close', () => {
      if (!answer.complete) return cut();
      const [instance, retryAfter] = [String(headers['x-instance']), 'retry-after' in headers];
      if (status >= 300) this.refusals.push({ at: now(), status, text: response.body, retryAfter, what, instance });
      response.finish('complete');
    });
  }

  /** Time stops for its clients: none of them sends anything more. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#agent.destroy();
  }
}
