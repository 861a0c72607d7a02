/**
 * `runSessionHandler` around requests and notifications that are served without a session (stateless, 2026-07-28).
 *
 *     open ──answered, or refused──▶ request_done
 *      ├──its client disconnected before the answer──▶ disconnected
 *      ├──its hook returned──▶ handler_returned
 *      ╰──the endpoint closed, or the time of its drain was over──▶ closed
 *
 * The first reason counts: `session.signal` aborts with it, and `run()` resolves with it.
 */
import type { Implementation } from '@modelcontextprotocol/server';
import { hookReturned } from '../errors.ts';
import type { AnyServer } from '../sdk/server-shape.ts';
import type { SessionRun } from '../session/server/run.ts';
import type { ServerBuilder } from '../session/server/server-builder.ts';
import { userName } from '../base/shown.ts';
import type { MaybePromise } from '../stores/store.ts';
import type { McpRequestRun, TimeProvider } from '../types.ts';
import type { SessionlessCall } from './sessionless-call.ts';

/** When the run hook of a request returned. */
export const EARLY = 'before its request was answered';

export class RequestRuns {
  readonly #servers: Pick<ServerBuilder, 'run'>;
  readonly #time: TimeProvider;
  readonly #open = new Set<SessionRun>();

  constructor(servers: Pick<ServerBuilder, 'run'>, time: TimeProvider) {
    this.#servers = servers;
    this.#time = time;
  }

  /** Makes the server of a call, and runs the hook around it. `returned`: the hook returned before the answer. */
  build<T extends AnyServer>(call: SessionlessCall, make: () => MaybePromise<T>, returned?: () => void): Promise<T> {
    const handlerReturned = (): void => {
      run.leave('handler_returned');
      returned?.();
    };
    const run = this.#servers.run({ handlerReturned });
    if (run.isWatched) {
      this.#open.add(run);
      call.caller.onClose(() => run.leave('disconnected'));
    }
    call.runsIn(run, () => {
      this.#open.delete(run);
      run.leave('request_done');
    });
    return run.inOwnContext(async () => {
      const server = await make();
      await run.start(call.caller.request, this.#session(call, run, server));
      if (run.left === 'handler_returned') throw hookReturned(EARLY);
      return server;
    });
  }

  /** What `runSessionHandler` gets for one request. */
  #session({ caller, client, version }: SessionlessCall, run: SessionRun, server: AnyServer): McpRequestRun {
    return {
      kind: 'request',
      server,
      createdAt: this.#time.now(),
      protocolVersion: version,
      user: caller.user,
      userName: caller.user && userName(caller.user),
      // Making it is not free, and most hooks do not read it.
      get signal() {
        return run.signal;
      },
      clientInfo: client.clientInfo ?? UNKNOWN_CLIENT,
      clientCapabilities: client.clientCapabilities ?? {},
    };
  }

  /** Call it before the requests that run get their errors. */
  close(): void {
    for (const run of this.#open) run.leave('closed');
  }
}

const UNKNOWN_CLIENT: Implementation = { name: '', version: '' };
