/**
 * The end of a session that the application asks for (`endpoint.sessions.terminate`). It is placed like the DELETE of a
 * client: at the owner of the session, wherever that is, or at its record.
 */
import { internal, requestClosed, type SojournError } from '../../errors.ts';
import type { ResponseSink, SinkListener } from '../../http/sink.ts';
import type { Inbound } from '../../inbound/inbound.ts';
import { type RequestLife, SentRequest } from '../../relay/sent-request.ts';

export class Termination implements ResponseSink, RequestLife {
  readonly inbound: Inbound;
  /** `false`: there is no such session. */
  readonly ended: Promise<boolean>;
  #settle: (ended: boolean | Promise<boolean>) => void = () => {};
  isOpen = true;
  readonly takes = 'answers';
  readonly isRelayed = false;
  readonly hasBegun = false;
  readonly lastId = undefined;
  sessionId: string | undefined = undefined;
  listener: SinkListener | undefined = undefined;

  constructor(id: string) {
    const fields = { method: 'DELETE', url: '', absoluteUrl: '', headers: { 'mcp-session-id': id } };
    const exchange = new SentRequest(fields, undefined, this);
    this.inbound = { kind: 'terminate', exchange, sink: this, requestId: null };
    this.ended = new Promise((resolve) => (this.#settle = resolve));
  }

  done(): void {
    this.isOpen = false;
    this.#settle(true);
  }
  refuse(error: SojournError): void {
    const isUnknown = error.code === 'SESSION_NOT_FOUND' || error.code === 'SESSION_ID_INVALID';
    this.isOpen = false;
    this.#settle(isUnknown ? false : Promise.reject(error));
  }
  fail(cause: unknown): void {
    this.refuse(internal(cause));
  }
  end(): void {
    this.refuse(requestClosed());
  }
  cut(): void {
    this.end();
  }
  handOver(): void {
    this.end();
  }
  begin(): void {}
  sendHead(): void {}
  message(): void {}
  point(): void {}
  withdraw(): void {}
  room(): undefined {
    return undefined;
  }
  onClose(): void {}
  heldBy(): void {}
}
