/**
 * Requests to end a session, from an instance to the session's owner. The owner's answer settles a request. So does the
 * failure of the link, after which the outcome is unknown.
 */
import type { Logger } from '../types.ts';
import type { Link } from './link.ts';

interface EndRequest {
  readonly link: Link;
  /** `undefined`: the outcome is unknown. */
  settle(done: boolean | undefined): void;
}

const ITEM_BYTES = 64;

export class EndRequests {
  readonly #logger: Logger;
  readonly #running = new Map<number, EndRequest>();
  #asks = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Asks the owner. `undefined`: the owner crashed, and the outcome is unknown. */
  send(link: Link, sessionId: string): Promise<boolean | undefined> {
    const ask = this.#asks++;
    const releaseLink = link.hold('call');
    return new Promise((resolve) => {
      const settle = (done: boolean | undefined): void => {
        this.#running.delete(ask);
        releaseLink();
        resolve(done);
      };
      this.#running.set(ask, { link, settle });
      link.push({ t: 'terminate', ask, sessionId }, ITEM_BYTES);
    });
  }

  /** The owner has answered request `ask`. `undefined`: its answer cannot be read. */
  answered(ask: number, done: boolean | undefined): void {
    this.#running.get(ask)?.settle(done);
  }

  linkFailed(link: Link): void {
    for (const request of this.#running.values()) if (request.link === link) request.settle(undefined);
  }

  /** Answers request `ask` of another instance once the session has ended. */
  async serve(link: Link, ask: number, ending: Promise<boolean>): Promise<void> {
    let done = false;
    try {
      done = await ending;
    } catch (cause) {
      this.#logger.error({ err: cause, from: link.peer }, 'A session could not be ended for another instance');
    }
    this.answer(link, ask, done);
  }

  answer(link: Link, ask: number, done: boolean): void {
    link.push({ t: 'terminated', ask, done }, ITEM_BYTES);
  }
}
