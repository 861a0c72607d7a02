/**
 * The end of a session that the application asks for (`endpoint.sessions.terminate`). It is placed like the DELETE of a
 * client: at the owner of the session, wherever that is, or at its record.
 */
import { internal, requestClosed } from '../../errors.ts';
import { HeardAnswer } from '../../http/heard-answer.ts';
import type { ResponseSink } from '../../http/sink.ts';
import type { Inbound } from '../../inbound/inbound.ts';
import { type RequestLife, SentRequest } from '../../relay/sent-request.ts';

export class Termination extends HeardAnswer implements ResponseSink, RequestLife {
  readonly inbound: Inbound;
  readonly takes = 'answers';
  readonly isRelayed = false;
  readonly hasBegun = false;
  readonly lastId = undefined;
  sessionId: string | undefined = undefined;

  constructor(id: string) {
    super();
    const fields = { method: 'DELETE', url: '', absoluteUrl: '', headers: { 'mcp-session-id': id } };
    const caller = new SentRequest(fields, undefined, this);
    this.inbound = { kind: 'terminate', caller, sink: this, requestId: null };
  }

  /** Resolves with `false`: there is no such session. */
  async ended(): Promise<boolean> {
    await this.answered;
    const { refused } = this;
    if (refused === undefined) return true;
    if (refused.code === 'SESSION_NOT_FOUND' || refused.code === 'SESSION_ID_INVALID') return false;
    throw refused;
  }

  fail(cause: unknown): void {
    this.refuse(internal(cause), null);
  }
  end(): void {
    this.refuse(requestClosed(), null);
  }
  cut(): void {
    this.end();
  }
  handOver(): void {
    this.end();
  }
  point(): void {}
  withdraw(): void {}
  room(): undefined {
    return undefined;
  }
}
