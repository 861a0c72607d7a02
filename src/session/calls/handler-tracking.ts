/**
 * Makes each handler of a server run within `handledBy` of its message. A server whose tables cannot be watched gives
 * places back when its requests end. Servers of a definition are made with tables for this purpose
 * (`sdk/handlers.ts`).
 */
import type { Notices } from '../../observe/notices.ts';
import { type Enter, enterHandlers } from '../../sdk/handlers.ts';
import { isToolsList, rememberSchemas } from '../../sdk/schema-memo.ts';
import { type AnyServer, replaceToolRunner } from '../../sdk/server-shape.ts';
import type { SharedLists } from './shared-lists.ts';
import { currentCall, noticingRunner, type ToolRunner } from './call.ts';

export class HandlerTracking {
  readonly #notices: Notices;
  /** The key is the method of `McpServer`. */
  readonly #runners = new WeakMap<object, ToolRunner>();
  readonly #enter: Enter;

  constructor(notices: Notices, lists: SharedLists | undefined) {
    this.#notices = notices;
    this.#enter = ({ inner, made }, handler, message, given) => {
      const call = currentCall.getStore();
      const run = (): unknown => {
        if (isToolsList(message)) rememberSchemas(made);
        return handler(message, given);
      };
      if (call === undefined) return run();
      return call.handledBy(inner, lists?.around(call, inner, message, undefined, run) ?? run, notices);
    };
  }

  track(made: AnyServer): void {
    if (enterHandlers(made, this.#enter)) replaceToolRunner(made, (runner) => this.#noticing(runner));
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
