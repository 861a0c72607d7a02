/**
 * Relays calls between the instance with the client and the instance that owns the session, over their link.
 *
 * Outgoing: `send` relays a call and passes its answer on, byte by byte. It resolves with `done` when the answer is
 * complete, with `refused` when the owner has not run the call and will not run it, and with `lost` when no instance
 * can tell: the owner crashed, or this instance lapsed.
 *
 * Incoming: a call is served as if its client were connected here. A call that this instance cannot serve is refused.
 */
import type { Lifecycle } from '../session/lifecycle.ts';
import type { Instance, RelayedCalls } from '../cluster/instance.ts';
import type { Link } from '../cluster/link.ts';
import type { AnswerItem, CallItem } from '../cluster/messages.ts';
import type { SojournError } from '../errors.ts';
import { errorJson, type LostForm, refuseStopped } from '../http/answer.ts';
import { attempt } from '../http/attempt.ts';
import { type Backlog, backlogOf } from '../http/backlog.ts';
import type { Exchange } from '../http/exchange.ts';
import type { Notices } from '../observe/notices.ts';
import type { MemoryUse } from '../http/slow-readers.ts';
import { messageFrame } from '../http/response.ts';
import type { Logger } from '../types.ts';
import { envelopeOf, readHeaders } from './envelope.ts';
import { type Call, methodOf, requestIdOf } from './call.ts';
import { RelayedExchange } from './relayed-exchange.ts';

export type RelayOutcome =
  | { readonly relayed: 'done' | 'refused' }
  /** `opened`: the head of a stream was sent to the client. `lastEventId`: the last event that the client received. */
  | {
      readonly relayed: 'lost';
      readonly opened: boolean;
      readonly lastEventId: string | undefined;
      /** The owner has a lease, and messages between it and this instance do not pass. */
      readonly unreachable: boolean;
    };

export interface RelayOptions {
  readonly instance: Instance;
  readonly logger: Logger;
  /** A drained or closed endpoint relays no call. */
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
  readonly notices: Notices;
  readonly memory: MemoryUse;
  /** `limits.streamBufferBytes`. */
  readonly bufferBytes: number;
  /** How a request of this method learns that it may have run. */
  lostForm(method: string | undefined): LostForm;
  /** Whether the owner of a session gets this header field; by lower-case name. */
  isRelayed(field: string): boolean;
  /** Serves a call that another instance relayed. */
  serve(call: CallItem, exchange: RelayedExchange): void;
}

const DONE: RelayOutcome = { relayed: 'done' };
const REFUSED: RelayOutcome = { relayed: 'refused' };

const ENVELOPE_BYTES = 1_024;
const EVENT_ID = /(?:^|\n)id: ([^\n]+)\n/g;

/** A call of a client connected here that another instance serves. */
class OutgoingCall {
  readonly exchange: Exchange;
  readonly call: Call;
  readonly #settle: (outcome: RelayOutcome) => void;
  readonly #bufferBytes: number;
  readonly #form: RelayOptions['lostForm'];
  opened = false;
  #lastEventId: string | undefined;
  #backlog: Backlog | undefined;
  #delivered = false;

  constructor(call: Call, options: RelayOptions, settle: (outcome: RelayOutcome) => void) {
    this.call = call;
    this.exchange = call.exchange;
    this.#bufferBytes = options.bufferBytes;
    this.#form = options.lostForm;
    this.#settle = settle;
  }

  /** Handles a part of its answer. `'gone'`: the client reads too slowly and was cut off. */
  take(part: AnswerItem): 'gone' | undefined {
    const { exchange } = this;
    switch (part.t) {
      case 'answer': {
        const { status, headers, body, session } = part;
        this.#identify(session);
        exchange.respond(status, readHeaders(headers), body);
        return this.done();
      }
      case 'stream':
        this.#identify(part.session);
        this.opened = true;
        exchange.openStream(readHeaders(part.headers));
        return undefined;
      case 'write':
        return this.#write(part.chunk);
      case 'end':
        exchange.end();
        return this.done();
      case 'cut':
        exchange.destroy();
        return this.done();
      case 'refused':
        // Its client reads a stream already: what the next owner answers continues in it.
        if (this.opened) this.linkFailed();
        else this.#settle(REFUSED);
        return undefined;
      case 'lost':
        this.linkFailed();
        return undefined;
    }
  }

  /** The owner acknowledged the call. */
  delivered(): void {
    this.#delivered = true;
  }

  done(): undefined {
    this.#settle(DONE);
  }

  linkFailed(unreachable = false): void {
    this.#settle({ relayed: 'lost', opened: this.opened, lastEventId: this.#lastEventId, unreachable });
  }

  /** Ends the call, because this instance stops. */
  close(error: SojournError): void {
    const { exchange } = this;
    const { post } = this.call;
    const id = post === undefined ? null : requestIdOf(post);
    const form = this.#form(methodOf(post));
    if (!this.opened) refuseStopped(exchange, error, { id, form, delivered: this.#delivered });
    else {
      if (id !== null && this.#lastEventId === undefined)
        exchange.write(messageFrame(errorJson(error, id, form), undefined));
      exchange.end();
    }
    this.done();
  }

  #identify(session: string | undefined): void {
    if (session !== undefined) this.exchange.sessionId = session;
  }

  #write(chunk: string): 'gone' | undefined {
    this.#backlog = backlogOf(this.exchange, this.#bufferBytes, this.#backlog);
    if (this.#backlog?.tooLong === true) {
      this.exchange.destroy();
      this.done();
      return 'gone';
    }
    for (const [, id] of chunk.matchAll(EVENT_ID)) this.#lastEventId = id;
    this.exchange.write(chunk);
    return undefined;
  }
}

export class Relay implements RelayedCalls {
  readonly #options: RelayOptions;
  #calls = 0;
  readonly #outgoing = new Map<
    number,
    { readonly link: Link; readonly call: OutgoingCall; readonly envelope: CallItem }
  >();
  readonly #serving = new Map<Link, Map<number, RelayedExchange>>();

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  get #refuses(): boolean {
    return this.#options.lifecycle.refusal !== undefined;
  }

  send(to: string, call: Call): Promise<RelayOutcome> {
    const link = this.#options.instance.link(to);
    // The owner is dead and never got the call.
    if (link === undefined) return Promise.resolve(REFUSED);
    const { exchange, post } = call;
    const text = post === undefined ? undefined : (post.text ?? JSON.stringify(exchange.parsedBody));
    const bytes = ENVELOPE_BYTES + (text?.length ?? 0);
    if (link.fits(bytes)) return this.#push(link, call, text, bytes);
    return link.room(bytes).then(() => this.#push(link, call, text, bytes));
  }

  #push(link: Link, call: Call, text: string | undefined, bytes: number): Promise<RelayOutcome> {
    const { exchange, kind, again } = call;
    if (link.failed || this.#refuses) return Promise.resolve(REFUSED);
    if (exchange.closed) return Promise.resolve(DONE);
    const n = this.#calls++;
    const releaseLink = link.hold(kind === 'get' ? 'stream' : 'call');
    return new Promise((resolve) => {
      const outgoing = new OutgoingCall(call, this.#options, (outcome) => {
        this.#outgoing.delete(n);
        releaseLink();
        resolve(outcome);
      });
      const envelope = envelopeOf(exchange, this.#options.isRelayed, { n, call: kind, again, text });
      this.#outgoing.set(n, { link, call: outgoing, envelope });
      link.push(envelope, bytes, () => outgoing.delivered());
      exchange.onClose(() => {
        if (!this.#outgoing.has(n)) return;
        link.push({ t: 'gone', n }, ENVELOPE_BYTES);
        outgoing.done();
      });
    });
  }

  answered(link: Link, part: AnswerItem): void {
    const outgoing = this.#outgoing.get(part.n)?.call;
    if (outgoing === undefined) return;
    try {
      if (outgoing.take(part) !== 'gone') return;
    } catch (cause) {
      // For example a header field that cannot be sent.
      outgoing.exchange.fail(cause);
      outgoing.done();
    }
    link.push({ t: 'gone', n: part.n }, ENVELOPE_BYTES);
  }

  clientLeft(link: Link, n: number): void {
    this.#serving.get(link)?.get(n)?.clientLeft();
  }

  refuse(link: Link, n: number): void {
    link.push({ t: 'refused', n }, ENVELOPE_BYTES);
  }

  linkFailed(link: Link): void {
    for (const { link: over, call } of this.#outgoing.values()) if (over === link) call.linkFailed();
    const serving = this.#serving.get(link);
    this.#serving.delete(link);
    for (const exchange of serving?.values() ?? []) exchange.failLink();
  }

  /** The owner must not run a call later whose client has its error by then, so the envelope is taken back. */
  linkStuck(link: Link): void {
    for (const [n, { link: over, call, envelope }] of this.#outgoing) {
      if (over !== link) continue;
      const gone = { t: 'gone', n } as const;
      if (!link.replace(envelope, gone, ENVELOPE_BYTES)) link.push(gone, ENVELOPE_BYTES);
      call.linkFailed(true);
    }
  }

  /**
   * Ends calls that run elsewhere for clients connected here. Clients that can resume reconnect; the others get the
   * error.
   */
  close(error: () => SojournError): void {
    for (const [n, { link, call }] of this.#outgoing) {
      link.push({ t: 'gone', n }, ENVELOPE_BYTES);
      call.close(error());
    }
  }

  serve(link: Link, item: CallItem): void {
    if (this.#refuses) return this.refuse(link, item.n);
    const { n } = item;
    let serving = this.#serving.get(link);
    if (serving === undefined) this.#serving.set(link, (serving = new Map()));
    const { notices, memory, logger } = this.#options;
    const exchange = new RelayedExchange({
      envelope: item,
      link,
      notices,
      memory,
      onFinished: () => this.#serving.get(link)?.delete(n),
      report: (err) => logger.error({ err, instance: link.peer }, 'A relayed request could not be served'),
    });
    serving.set(n, exchange);
    attempt(exchange, () => this.#options.serve(item, exchange));
  }
}
