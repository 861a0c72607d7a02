/** What a run takes from its server and from the response of its client, and where each of it goes. */
import type { RequestId } from '@modelcontextprotocol/server';
import { internal, type SojournError } from '../../base/errors.ts';
import type { LostForm } from '../../http/answer.ts';
import type { RunningWork } from '../../http/body.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import type { Exchange } from '../../http/exchange.ts';
import type { AnswerSink } from '../../http/sink.ts';
import type { Sink, SinkListener } from '../../http/sink.ts';
import type { RpcResponse } from '../../base/protocol/jsonrpc.ts';
import type { CallRequest } from '../../cluster/relay/sent-request.ts';
import { progressIn } from './progress.ts';

/** What a run is made from. */
export interface RunRequest extends CallRequest {
  /** This instance calls itself for a call that is no task. `session`: whose keys a caller without a user has. */
  readonly launched?: { readonly session: string | undefined } | undefined;
}

/** The connection of a request, and what its client gets without a task. */
export interface FirstClient {
  readonly exchange: Pick<Exchange, 'closed' | 'fail' | 'heldBy'> & {
    readonly request?: { readonly node?: CallerRequest['node'] };
  };
  readonly response: AnswerSink;
}

export abstract class RunSink implements AnswerSink, SinkListener {
  /** `undefined`: no client waits for this run. */
  protected readonly client: FirstClient | undefined;
  listener: SinkListener | undefined = undefined;

  constructor(client: FirstClient | undefined) {
    this.client = client;
    if (client !== undefined) client.response.listener = this;
  }

  /** The call is ordinary: everything passes through to its client. */
  protected abstract get isDirect(): boolean;
  /** What the client of a task is shown. */
  protected abstract shows(text: string): void;
  /** The server has settled the call: `direct` tells its client, `asTask` the task. */
  protected abstract route(direct: (client: FirstClient) => void, asTask: () => void): void;
  protected abstract ended(answer: RpcResponse): void;
  protected abstract failed(error: SojournError): void;
  abstract readonly isOpen: boolean;
  abstract sinkClosed(): void;

  begin(): void {
    if (this.isDirect) this.client?.response.begin();
  }

  message(json: string): void {
    if (this.isDirect) return this.client?.response.message(json);
    // Nothing else is sent for a task.
    const text = progressIn(json);
    if (text !== undefined) this.shows(text);
  }

  answer(json: string, status?: number): void {
    this.route(
      ({ response }) => response.answer(json, status),
      () => this.ended(JSON.parse(json) as RpcResponse),
    );
  }

  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void {
    this.route(
      ({ response }) => response.refuse(error, id, form),
      () => this.failed(error),
    );
  }

  /** A server that was closed before it answered has no body. */
  done(status: 200 | 202 | 204): void {
    this.route(
      ({ response }) => response.done(status),
      () => this.failed(internal(new Error('The server of a task was closed'))),
    );
  }

  // ——— the response of its client ———

  endTurn(): void {
    this.listener?.endTurn?.();
  }

  opened(sink: Sink): void {
    this.listener?.opened?.(sink);
  }

  get node(): CallerRequest['node'] {
    return this.client?.exchange.request?.node;
  }

  heldBy(work: RunningWork, own?: number): void {
    this.client?.exchange.heldBy(work, own);
  }
}
