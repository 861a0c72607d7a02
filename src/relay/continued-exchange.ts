/**
 * An exchange whose stream a crashed owner began. The next owner continues in the same response, and the client notices
 * nothing. An answer that does not fit into an open stream ends it: a client that can resume reconnects and gets the
 * answer then; any other client gets the error as a message.
 */
import type { AuthInfo, RequestId } from '@modelcontextprotocol/server';
import { insufficientScope, sessionEnded } from '../errors.ts';
import { errorJson, type LostForm } from '../http/answer.ts';
import type { BodyOverflow, BodyRead, Exchange, HeaderFields, HeaderList, RunningWork } from '../http/exchange.ts';
import { messageFrame, SSE_HEADERS } from '../http/response.ts';
import type { Refusal } from '../observe/notices.ts';
import type { McpHttpRequest } from '../types.ts';

const LAST_EVENT_ID = 'last-event-id';

export class ContinuedExchange implements Exchange {
  readonly #inner: Exchange;
  /** The last event that the client received; `undefined` when the client cannot resume. */
  readonly lastEventId: string | undefined;
  /** The request that the stream answers, if it answers one. */
  readonly #id: RequestId | null;
  readonly #form: LostForm;
  /** No client waits for an answer on it. */
  readonly #silent: boolean;

  /** `form`: how that request learns that it may have run. */
  constructor(
    inner: Exchange,
    lastEventId: string | undefined,
    silent: boolean,
    id: RequestId | null,
    form: LostForm = 'error',
  ) {
    this.#form = form;
    this.#inner = inner instanceof ContinuedExchange ? inner.#inner : inner;
    this.lastEventId = lastEventId;
    this.#id = id;
    this.#silent = silent || lastEventId !== undefined;
  }

  get method(): string {
    return this.#inner.method;
  }
  get url(): string {
    return this.#inner.url;
  }
  absoluteUrl(): string {
    return this.#inner.absoluteUrl();
  }
  header(name: string): string | undefined {
    return name === LAST_EVENT_ID && this.lastEventId !== undefined ? this.lastEventId : this.#inner.header(name);
  }
  headerFields(): HeaderFields {
    const fields = this.#inner.headerFields();
    return this.lastEventId === undefined ? fields : { ...fields, [LAST_EVENT_ID]: this.lastEventId };
  }
  get canonicalHeaders(): Map<string, string> {
    return this.#inner.canonicalHeaders;
  }
  get authInfo(): AuthInfo | undefined {
    return this.#inner.authInfo;
  }
  set authInfo(auth: AuthInfo | undefined) {
    this.#inner.authInfo = auth;
  }
  get sessionId(): string | undefined {
    return this.#inner.sessionId;
  }
  /** Ignored, because the head was sent before. */
  set sessionId(_id: string | undefined) {}
  get user(): string | undefined {
    return this.#inner.user;
  }
  set user(user: string | undefined) {
    this.#inner.user = user;
  }
  get relayOrigin(): Exchange['relayOrigin'] {
    return this.#inner.relayOrigin;
  }
  get parsedBody(): unknown {
    return this.#inner.parsedBody;
  }
  get request(): McpHttpRequest {
    return this.#inner.request;
  }
  get signal(): AbortSignal {
    return this.#inner.signal;
  }

  readBody(limit: number, done: BodyRead, overflow?: BodyOverflow): void {
    this.#inner.readBody(limit, done, overflow);
  }
  get clientAddress(): string | undefined {
    return this.#inner.clientAddress;
  }
  holds(bytes: number): boolean {
    return this.#inner.holds(bytes);
  }
  heldBy(work: RunningWork): void {
    this.#inner.heldBy(work);
  }

  refused(refusal: Refusal): void {
    this.#inner.refused(refusal);
  }

  respond(status: number, headers: HeaderList, body?: string): void {
    if (status === 200 && headers === SSE_HEADERS) this.#inner.write(body ?? '');
    else if (!this.#silent && body !== undefined)
      this.#inner.write(messageFrame(this.#inStream(status, body), undefined));
    this.#inner.end();
  }

  /**
   * For a call that was accepted before, 404 means that its session has ended, so the error says that. The body of a
   * scope challenge has OAuth's format and is no message, so it becomes one.
   */
  #inStream(status: number, body: string): string {
    if (status !== 404 && status !== 403) return body;
    const { id, error_description } = JSON.parse(body) as {
      id?: RequestId | null;
      error_description?: string;
    };
    if (status === 403 && error_description === undefined) return body;
    const error = error_description === undefined ? sessionEnded() : insufficientScope('', error_description);
    return errorJson(error, id ?? this.#id, this.#form);
  }

  openStream(): void {}

  write(chunk: string): void {
    this.#inner.write(chunk);
  }
  end(): void {
    this.#inner.end();
  }
  destroy(): void {
    this.#inner.destroy();
  }
  fail(cause: unknown): void {
    this.#inner.fail(cause);
  }
  get pendingBytes(): number {
    return this.#inner.pendingBytes;
  }
  get closed(): boolean {
    return this.#inner.closed;
  }
  onClose(fn: () => unknown): void {
    this.#inner.onClose(fn);
  }
}

/**
 * An exchange that was answered with 202 before its messages reached their session. The messages are delivered when the
 * store is reachable again, and the answer of that attempt is dropped.
 */
export class AcceptedExchange extends ContinuedExchange {
  constructor(inner: ConstructorParameters<typeof ContinuedExchange>[0]) {
    super(inner, undefined, true, null);
  }

  /** Its messages are delivered even if the client disconnects. */
  override get closed(): boolean {
    return false;
  }
  override get pendingBytes(): number {
    return 0;
  }
  override respond(): void {}
  override write(): void {}
  override end(): void {}
  override destroy(): void {}
  override onClose(): void {}
}
