/**
 * How one client sends HTTP requests: to any instance, as a round-robin balancer would, and again when it is refused.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { HttpRequest, Response, SseEvent } from './exchange.ts';
import type { Random } from './random.ts';
import type { ClientWorld } from './client-world.ts';

export type OnEvent = (event: SseEvent) => void;

export interface Tries {
  /** No longer than this; then `undefined`. */
  readonly patience?: number;
  /**
   * A connection that is cut before the head of a response came says nothing about what was sent. `once`: sent once
   * more, as a proxy does.
   */
  readonly onCut?: 'again' | 'once' | 'stop';
}

export interface RequesterOptions {
  readonly world: ClientWorld;
  readonly random: Random;
  readonly user: string;
  readonly version: string;
  /** Waits no longer than this for the head of a response. */
  readonly headPatience: number;
}

/** Where a proxy names a request, if there is one between clients and instances. */
export const ATTEMPT_HEADER = 'x-request-id';
const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 300;

export const authOf = (user: string): AuthInfo => ({
  token: 't',
  clientId: user,
  scopes: [],
  extra: { sub: user },
});

export class Requester {
  readonly #options: RequesterOptions;
  readonly #authInfo: AuthInfo;
  /** Slots that the next requests go to, before chance decides. */
  readonly via: number[] = [];

  constructor(options: RequesterOptions) {
    this.#options = options;
    this.#authInfo = authOf(options.user);
  }

  headers(session: string | undefined, lastEventId?: string): Record<string, string> {
    return {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(session !== undefined && {
        'mcp-session-id': session,
        'mcp-protocol-version': this.#options.version,
      }),
      ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    };
  }

  send(request: HttpRequest, onEvent?: OnEvent, slot = this.slot()): Response {
    return this.#options.world.http(slot, { ...request, authInfo: this.#authInfo }, onEvent);
  }

  post(
    session: string | undefined,
    message: object,
    onEvent?: OnEvent,
    slot?: number,
    attempt?: string,
  ): Response {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    const headers = {
      ...this.headers(session),
      ...(attempt !== undefined && { [ATTEMPT_HEADER]: attempt }),
    };
    return this.send({ method: 'POST', headers, body }, onEvent, slot);
  }

  /** Until it is accepted, or refused for good: 503 and a refused connection are neither. */
  until(
    send: () => Response,
    tries?: Tries & { readonly onCut?: 'again' },
  ): Promise<Response | undefined>;
  until(send: () => Response, tries: Tries): Promise<Response | 'cut' | 'late' | undefined>;
  async until(
    send: () => Response,
    { patience = Infinity, onCut = 'again' }: Tries = {},
  ): Promise<Response | 'cut' | 'late' | undefined> {
    const { world, random } = this.#options;
    const deadline = world.now + patience;
    let cuts = 0;
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      const response = send();
      const came = await this.#headOf(response);
      if (came === 'cut') cuts += 1;
      const isOver = onCut === 'stop' || (onCut === 'once' && (came === 'late' || cuts > 1));
      if ((came === 'cut' || came === 'late') && isOver) return came;
      if (came === 'head' && response.status !== 503) return response;
      if (came === 'head')
        world.ledger.refusals.push({ at: world.now, slot: response.slot, body: response.body });
      if (world.now > deadline) return undefined;
      await world.scheduler.sleep(wait * (0.5 + random.next()));
    }
  }

  /** Where the next request goes. */
  slot(): number {
    const { world, random } = this.#options;
    return this.via.shift() ?? random.int(world.slots.length);
  }

  /** Its head, or what came instead; gives up on those who do not answer. */
  async #headOf(response: Response): Promise<'head' | 'refused' | 'cut' | 'late'> {
    const { world, headPatience } = this.#options;
    let left = false;
    if (headPatience < Infinity) {
      const late = world.scheduler.after(headPatience, () => {
        if (response.status !== 0) return;
        left = true;
        response.close();
      });
      await response.headed;
      world.scheduler.cancel(late);
    } else {
      await response.headed;
    }
    if (response.status !== 0) return 'head';
    if (left) return 'late';
    return (await response.ended) === 'refused' ? 'refused' : 'cut';
  }
}
