/**
 * Relays calls between the instance with the client and the instance that owns the session, over their link.
 *
 * Outgoing: `send` relays a call and gives the values of its answer to the sink of its client.
 *
 * Incoming: a call is served as if its client were connected here. A call that this instance cannot serve is refused.
 */
import type { Lifecycle } from '../../session/lifecycle.ts';
import type { Instance } from '../instance.ts';
import type { RelayedCalls } from '../links.ts';
import type { Link } from '../instance-link.ts';
import { CREDIT_BYTES, type Writer } from '../send-queue.ts';
import type { AnswerItem, CallItem, RequestItem, SentValue } from '../messages.ts';
import { closedEndpoint, type SojournError } from '../../base/errors.ts';
import { lostForm, type LostForm } from '../../http/answer.ts';
import { guarded } from '../../http/exchange.ts';
import type { SinkListener, ResponsePolicy, SessionResponse } from '../../http/sink.ts';
import { type MemoryUse, shareKey } from '../../base/budget.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import { relayedFields } from '../../base/options/header-names.ts';
import {
  type AttemptId,
  endsSession,
  type Inbound,
  isAbandoned,
  isSilent,
} from '../../session/inbound/inbound.ts';
import { forStop, type RelayOutcome } from '../../session/inbound/retries.ts';
import { LinkSink, readError } from './link-sink.ts';
import { authOf, sentCall, SentRequest } from './sent-request.ts';

export interface RelayOptions {
  readonly options: ResolvedOptions;
  readonly instance: Instance;
  /** A drained or closed endpoint relays no call. */
  readonly lifecycle: Pick<Lifecycle, 'refusal'>;
  readonly memory: MemoryUse;
  readonly responses: Readonly<Record<SessionResponse, ResponsePolicy>>;
  readonly server: RelayedServer;
}

export interface RelayedServer {
  /** Serves a call that another instance relayed. */
  serveRelayed(item: RequestItem, caller: SentRequest, sink: LinkSink): void;
}

const ENVELOPE_BYTES = 1_024;
/**
 * Undelivered bytes on a link above which streams without a log give way: a user with more than its part of the credit
 * writes nothing more there until the stream that has most is cut, also within one turn. A call that ended waits: it adds
 * nothing.
 */
const MOST_UNACKED = 2 * CREDIT_BYTES;

interface Sender {
  readonly user?: string | undefined;
  readonly address?: string | undefined;
}

/** A call of a client connected here that another instance serves. */
class OutgoingCall implements SinkListener {
  /** The owner sends a head that waits for an event together with that event. */
  readonly flushing = false;
  readonly inbound: Inbound;
  readonly link: Link;
  readonly item: RequestItem;
  readonly #responses: RelayOptions['responses'];
  readonly #settled: (outcome: RelayOutcome) => void;
  #isSettled = false;
  /** Bytes of replies that the other instance has not taken. */
  #unread = 0;
  /** The owner acknowledged the call. */
  isDelivered = false;

  constructor(
    inbound: Inbound,
    link: Link,
    item: RequestItem,
    { responses }: RelayOptions,
    settled: (o: RelayOutcome) => void,
  ) {
    this.inbound = inbound;
    this.link = link;
    this.item = item;
    this.#responses = responses;
    this.#settled = settled;
    inbound.sink.listener = this;
  }

  settle(outcome: RelayOutcome): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const { sink } = this.inbound;
    if (sink.listener === this) sink.listener = undefined;
    this.#settled(outcome);
  }

  /** The client disconnected, was cut off, or its token expired. The owner need not answer. */
  sinkClosed(): void {
    if (this.#isSettled) return;
    this.tellGone();
    this.settle('done');
  }

  /** What a server there has asked for. A handler that asks faster than its instance reads is cut. */
  reply(answer: unknown, size: number): void {
    if (this.#isSettled) return;
    const bytes = ENVELOPE_BYTES + size;
    this.#unread += bytes;
    if (this.#unread > MOST_UNACKED) {
      this.sinkClosed();
      return this.inbound.sink.cut();
    }
    const { n } = this.item;
    const taken = (): void => void (this.#unread -= bytes);
    this.link.push({ t: 'reply', n, answer }, bytes, shareOf(this.item), taken);
  }

  tellGone(): void {
    this.link.push({ t: 'gone', n: this.item.n }, ENVELOPE_BYTES, shareOf(this.item));
  }

  take(value: SentValue): void {
    if (this.#isSettled) return;
    const { sink } = this.inbound;
    const [kind] = value;
    if (kind === 'refuse' || kind === 'done' || kind === 'end' || kind === 'cut')
      this.settle('done');
    switch (kind) {
      case 'begin': {
        const policy: ResponsePolicy | undefined = this.#responses[value[1] as SessionResponse];
        if (policy === undefined) return this.settle('lost');
        this.#identify(value[2]);
        return sink.begin(policy);
      }
      case 'message':
        return sink.message(value[1], value[2]);
      case 'point':
        return sink.point(value[1], value[2], value[3]);
      case 'refuse':
        this.#identify(value[4]);
        return sink.refuse(readError(value[1]), value[2], value[3] as LostForm);
      case 'done':
        this.#identify(value[2]);
        return sink.done(value[1] as 200);
      case 'moved':
        // The client reads a stream already: what the next owner answers continues in it.
        return this.settle(value[1] || sink.hasBegun ? 'lost' : 'refused');
      case 'end':
        return sink.end();
      case 'cut':
        return sink.cut();
    }
  }

  #identify(session: string | null): void {
    if (session !== null) this.inbound.sink.sessionId = session;
  }
}

export class Relay implements RelayedCalls {
  readonly #options: RelayOptions;
  readonly #isRelayed: (field: string) => boolean;
  #calls = 0;
  #attempts = 0;
  readonly #outgoing = new Map<number, OutgoingCall>();
  readonly #serving = new Map<Link, Map<number, LinkSink>>();

  constructor(given: RelayOptions) {
    this.#options = given;
    this.#isRelayed = relayedFields(given.options.relayedHeaders);
  }

  get #refuses(): boolean {
    return this.#options.lifecycle.refusal !== undefined;
  }

  /** Names the attempts of a call whose client or proxy did not. */
  newAttempt(): AttemptId {
    return { id: `${this.#options.instance.lease.owner}.${this.#attempts++}`, ofProxy: false };
  }

  async send(to: string, inbound: Inbound): Promise<RelayOutcome> {
    const { lease, links } = this.#options.instance;
    const link = lease.valid ? links.to(to) : undefined;
    // The owner is dead, or this instance has no lease: the owner never got the call.
    if (link === undefined) return 'refused';
    const text = inbound.post?.text;
    const bytes = ENVELOPE_BYTES + (text?.length ?? 0);
    const { userKey: user, clientAddress: address } = inbound.caller;
    const share = shareOf({ user, address });
    // Others that waited may have taken the room first.
    while (!link.fits(share, bytes)) await link.room(share, bytes);
    if (link.failed || this.#refuses) return 'refused';
    return isAbandoned(inbound) ? 'done' : this.#push(link, inbound, text, bytes);
  }

  #push(
    link: Link,
    inbound: Inbound,
    text: string | undefined,
    bytes: number,
  ): Promise<RelayOutcome> {
    const { caller, kind } = inbound;
    const { notices, timeProvider: time } = this.#options.options;
    const began = time.monotonic();
    if (inbound.post?.only !== undefined) caller.watched?.relayed();
    const n = this.#calls++;
    const item = sentCall(inbound, n, text, this.#isRelayed);
    const isCall = kind === 'post' || kind === 'handle' || endsSession(inbound);
    const releaseLink = link.hold(isCall ? 'call' : 'stream');
    return new Promise((resolve) => {
      const outgoing = new OutgoingCall(inbound, link, item, this.#options, (outcome) => {
        this.#outgoing.delete(n);
        releaseLink();
        const sessionId = caller.header('mcp-session-id');
        notices.emit({
          kind: 'requestRelayed',
          to: link.peer,
          outcome,
          ms: time.monotonic() - began,
          sessionId,
        });
        resolve(outcome);
      });
      this.#outgoing.set(n, outgoing);
      link.push(item, bytes, shareOf(item), () => (outgoing.isDelivered = true));
      inbound.onReplies?.((answer, size) => outgoing.reply(answer, size));
      if (!isSilent(inbound)) caller.onClose(() => outgoing.sinkClosed());
    });
  }

  receive(link: Link, item: CallItem): void {
    switch (item.t) {
      case 'call':
        return this.serve(link, item);
      case 'gone':
        return this.#serving.get(link)?.get(item.n)?.clientLeft();
      case 'reply':
        return this.#serving.get(link)?.get(item.n)?.listener?.replied?.(item.answer);
      case 'answer':
        return this.#answered(item);
    }
  }

  #answered({ n, values, tool }: AnswerItem): void {
    const outgoing = this.#outgoing.get(n);
    if (outgoing === undefined) return;
    if (tool) outgoing.inbound.caller.watched?.hasTool();
    try {
      for (const value of values) outgoing.take(value);
    } catch (cause) {
      // For example a header field that cannot be sent.
      outgoing.inbound.caller.fail(cause);
      outgoing.settle('done');
      outgoing.tellGone();
    }
  }

  linkFailed(link: Link): void {
    for (const outgoing of this.#outgoing.values())
      if (outgoing.link === link) outgoing.settle('lost');
    const serving = this.#serving.get(link);
    this.#serving.delete(link);
    for (const sink of serving?.values() ?? []) sink.failLink();
  }

  /** The owner must not run a call later whose client has its error by then, so the call is taken back. */
  linkStuck(link: Link): void {
    for (const outgoing of this.#outgoing.values()) {
      if (outgoing.link !== link) continue;
      link.withdraw((item) => item === outgoing.item);
      outgoing.tellGone();
      outgoing.settle('unreachable');
    }
  }

  /**
   * Ends calls that run elsewhere for clients connected here. Clients that can resume reconnect; the others get the
   * error.
   */
  close(error: () => SojournError): void {
    for (const outgoing of this.#outgoing.values()) {
      // Its session leaves next, and the call with it: the next owner may run it again.
      if (outgoing.inbound.session !== undefined) continue;
      outgoing.tellGone();
      outgoing.settle('done');
      const { sink, requestId, post } = outgoing.inbound;
      const end = forStop(outgoing.inbound, outgoing.isDelivered);
      if (end === 'error')
        sink.refuse(error(), requestId, lostForm(this.#options.options, post?.only?.method));
      else if (end === 'accept') sink.done(202);
      else if (end === 'cut') sink.cut();
      else sink.refuse(closedEndpoint(), null);
    }
  }

  serve(link: Link, item: RequestItem): void {
    const { n } = item;
    if (this.#refuses)
      return link.push(
        { t: 'answer', n, values: [['moved', false]] },
        ENVELOPE_BYTES,
        shareOf(item),
      );
    let serving = this.#serving.get(link);
    if (serving === undefined) this.#serving.set(link, (serving = new Map()));
    const { memory, options, server } = this.#options;
    const share = shareOf(item);
    const sink = new LinkSink({
      link,
      n,
      memory,
      share,
      tools: options.notices.tools,
      makeRoom: (bytes) => this.#makeRoom(link, { n, share, bytes }),
      report: (err) =>
        options.logger.error({ err, instance: link.peer }, 'A relayed request could not be served'),
      finished: () => void this.#serving.get(link)?.delete(n),
    });
    const caller = new SentRequest(item, authOf(item), sink, sink);
    serving.set(n, sink);
    guarded(caller, () => server.serveRelayed(item, caller, sink));
  }

  #makeRoom(link: Link, writer: Writer): void {
    if (link.unackedBytes <= MOST_UNACKED || link.fits(writer.share, writer.bytes)) return;
    const serving = this.#serving.get(link);
    serving?.get(link.largest(writer, (n) => serving.has(n)))?.cutToMakeRoom();
  }
}

const shareOf = ({ user, address }: Sender): string => shareKey(user, address);
