/**
 * Makes each handler of a server run within `handledBy` of its message. A server whose tables cannot be watched gives
 * places back when its requests end. Servers of a definition are made with tables for this purpose
 * (`definition/light-server.ts`).
 */
import type { Notices } from '../../observe/notices.ts';
import { type Lookup, watchLookups } from '../../sdk/handler-tables.ts';
import { type AnyServer, replaceToolRunner } from '../../sdk/server-shape.ts';
import { currentCall, noticingRunner, type ToolRunner } from './call.ts';

export class HandlerTracking {
  readonly #notices: Notices;
  /** The key is the method of `McpServer`. */
  readonly #runners = new WeakMap<object, ToolRunner>();
  readonly #lookup: Lookup;

  constructor(notices: Notices) {
    this.#notices = notices;
    this.#lookup = (handler, inner) => {
      const call = currentCall.getStore();
      if (call === undefined) return handler;
      return (message, ctx) => call.handledBy(inner, () => handler(message, ctx), notices);
    };
  }

  track(made: AnyServer): void {
    if (watchLookups(made, this.#lookup)) replaceToolRunner(made, (runner) => this.#noticing(runner));
  }

  #noticing(runner: object): ToolRunner {
    let noticing = this.#runners.get(runner);
    if (noticing === undefined) {
      noticing = noticingRunner(runner, () => this.#notices);
      this.#runners.set(runner, noticing);
    }
    return noticing;
  }
}
