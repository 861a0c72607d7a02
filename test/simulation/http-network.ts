/**
 * HTTP between clients and instances: it takes time, is refused where no process listens, and is cut with the process
 * behind it.
 */
import { type HttpRequest, Response, SimExchange, type SseEvent } from './exchange.ts';
import type { SimInstance, World } from './world.ts';

export class HttpNetwork {
  readonly #world: World;
  readonly #cuts = new Map<SimExchange, () => void>();
  #responses = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** A request to the instance in a slot. */
  send(slot: number, request: HttpRequest, onEvent?: (event: SseEvent) => void): Response {
    const number = this.#responses++;
    const response = new Response(slot, onEvent);
    const arrives = this.#world.delay(this.#world.faults.http);
    if (this.#world.trace !== undefined) this.#noteHttp(number, slot, request, response);
    this.#world.scheduler.after(arrives, () => {
      const instance = this.#world.slots[slot];
      if (instance === undefined || !instance.listening) {
        this.#world.scheduler.after(this.#world.delay(this.#world.faults.http), () =>
          response.finish('refused'),
        );
        return;
      }
      this.#serve(instance, request, response);
    });
    return response;
  }

  #noteHttp(
    number: number,
    slot: number,
    { method, headers, body }: HttpRequest,
    response: Response,
  ): void {
    const resumes =
      headers['last-event-id'] === undefined ? '' : ` after ${headers['last-event-id']}`;
    this.#world.note(`#${number} ${method} to slot ${slot}${resumes} ${body?.slice(17) ?? ''}`);
    void response.headed.then(() => this.#world.note(`#${number} ${response.status}`));
    void response.ended.then((outcome) =>
      this.#world.note(`#${number} is ${outcome} ${response.body}`),
    );
  }

  #serve(instance: SimInstance, request: HttpRequest, response: Response): void {
    const { process } = instance;
    let last = 0;
    let over = false;
    const deliver = (piece: (to: Response) => void): void => {
      last = Math.max(last, this.#world.now + this.#world.delay(this.#world.faults.http));
      this.#world.scheduler.at(last, () => !response.abandoned && piece(response));
    };
    const forget = (): void => {
      instance.exchanges.delete(exchange);
      this.#cuts.delete(exchange);
    };
    const cut = (): void => {
      if (over) return;
      over = true;
      deliver((to) => to.finish('cut'));
      this.#world.scheduler.after(this.#world.delay(this.#world.faults.http), () =>
        process.enter(() => exchange.clientLeft()),
      );
      forget();
    };
    const exchange = new SimExchange(request, process, {
      send: (piece) => {
        if (over) return;
        if (this.#world.network.chance(this.#world.faults.httpCut)) cut();
        else deliver(piece);
      },
      finished: () => {
        over = true;
        forget();
      },
    });
    instance.exchanges.add(exchange);
    this.#cuts.set(exchange, cut);
    response.close = () => {
      response.abandoned = true;
      response.finish('cut');
      this.#world.scheduler.after(this.#world.delay(this.#world.faults.http), () => {
        over = true;
        process.enter(() => exchange.clientLeft());
        forget();
      });
    };
    process.enter(() => {
      if (exchange.closed) return;
      response.arrivedAt = this.#world.now;
      response.held = instance.core?.instance.lease.valid === false;
      instance.core?.eras.callerChecks.enter(exchange);
    });
  }

  /** Its process is gone: connections to it are cut. */
  drop(instance: SimInstance): void {
    for (const exchange of instance.exchanges) this.#cuts.get(exchange)?.();
    instance.exchanges.clear();
  }
}
