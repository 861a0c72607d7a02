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
import type { ClientCapabilities, Implementation } from '@modelcontextprotocol/server';
import type { Exchange } from '../http/exchange.ts';
import type { AnyServer } from '../protocol/server-shape.ts';
import type { SessionRun } from '../session/server/run.ts';
import type { ServerBuilder } from '../session/server/server-builder.ts';
import { userName } from '../shown.ts';
import type { McpRequestRun } from '../types.ts';

export class RequestRuns {
  readonly #servers: Pick<ServerBuilder, 'run'>;
  readonly #open = new Set<SessionRun>();

  constructor(servers: Pick<ServerBuilder, 'run'>) {
    this.#servers = servers;
  }

  /** `returned`: the hook returned before its request was answered. */
  begin(exchange: Pick<Exchange, 'onClose'>, returned: () => void): SessionRun {
    const handlerReturned = (): void => {
      run.leave('handler_returned');
      returned();
    };
    const run = this.#servers.run({ handlerReturned });
    if (!run.isWatched) return run;
    this.#open.add(run);
    exchange.onClose(() => run.leave('disconnected'));
    return run;
  }

  end(run: SessionRun): void {
    this.#open.delete(run);
    run.leave('request_done');
  }

  /** Call it before the requests that run get their errors. */
  close(): void {
    for (const run of this.#open) run.leave('closed');
  }
}

export interface RequestSessionFields {
  readonly caller: { readonly user: string | undefined };
  readonly run: SessionRun;
  readonly createdAt: number;
  readonly clientInfo: Implementation | undefined;
  /** `undefined`: the server has no way to ask the client. */
  readonly clientCapabilities: ClientCapabilities | undefined;
  readonly protocolVersion: string;
  readonly server: AnyServer;
}

const UNKNOWN_CLIENT: Implementation = { name: '', version: '' };

/** What `runSessionHandler` gets for one request of stateless and 2026-07-28 serving. */
export function requestSession(fields: RequestSessionFields): McpRequestRun {
  const { caller, run, ...rest } = fields;
  return {
    kind: 'request',
    ...rest,
    user: caller.user,
    userName: caller.user && userName(caller.user),
    // Making it is not free, and most hooks do not read it.
    get signal() {
      return run.signal;
    },
    clientInfo: fields.clientInfo ?? UNKNOWN_CLIENT,
    clientCapabilities: fields.clientCapabilities ?? {},
  };
}
