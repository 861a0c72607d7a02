/** The requests of a session that run in its child, by their ids there. */
import type { ServerContext } from '@modelcontextprotocol/server';
import type { RpcParams, Result } from './child.ts';
import type { Place } from './place.ts';
import type { Program } from './program.ts';

export class ChildCalls {
  readonly #program: Program;
  readonly #place: Place;
  readonly #calls = new Map<number, ServerContext>();
  /** Those that wait for their child, too. */
  readonly #all = new Set<ServerContext>();

  constructor(program: Program, place: Place) {
    this.#program = program;
    this.#place = place;
  }

  async forward(method: string, params: RpcParams, extra: ServerContext): Promise<Result> {
    let call: number | undefined;
    const over = (): void => void (call !== undefined && this.#calls.delete(call));
    const began = (id: number): void => {
      // The child before it ended.
      over();
      call = id;
      this.#calls.set(id, extra);
    };
    this.#all.add(extra);
    try {
      const { signal } = extra.mcpReq;
      return await this.#program.forward(this.#place, method, params, { signal, began });
    } finally {
      this.#all.delete(extra);
      over();
    }
  }

  /** A child does not say to which call a question belongs. The newest call has a stream for sure. */
  get newest(): ServerContext | undefined {
    return [...this.#all].at(-1);
  }

  /** The call that a notification is about. Without an id it is the only one. */
  about(call: number | undefined): ServerContext | undefined {
    if (call !== undefined) return this.#calls.get(call);
    return this.#calls.size === 1 ? [...this.#calls.values()][0] : undefined;
  }
}
