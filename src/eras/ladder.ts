/**
 * The way of a client's messages into a server, step by step:
 *
 *     authorize ─▶ scopes ─▶ (a retry?) ─▶ limits, ids ─▶ store ─▶ begin the response ─▶ dispatch
 *
 * `dispatch` leads to the place where a call enters a server: `SessionTransport.deliver`, or
 * `OneRequestTransport.deliver` without a session. `aroundRequest` runs there (`session/calls/around-requests.ts`), also
 * for calls that run again.
 *
 * Each list is the order of one way in: two below, that of messages without a session in `sessionless-requests.ts`. None
 * has a step that its era does not need. A step is synchronous where it waits for nothing: a call whose hooks are
 * synchronous is dispatched in the turn of its POST.
 */
import type { InboundPost } from '../inbound/inbound.ts';
import { SojournError } from '../errors.ts';
import type { CallerRequest } from '../http/exchange.ts';
import type { RequestLimits } from '../limits/request-limits.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import type { Checked, RpcRequest } from '../protocol/jsonrpc.ts';
import type { Authorizer } from '../session/calls/authorizer.ts';
import type { AdmittedPost } from '../session/calls/entering-post.ts';
import type { ScopedTransport } from '../session/calls/scopes.ts';
import type { SessionTransport } from '../session/server/session-transport.ts';
import type { LiveSession } from '../session/session.ts';
import type { MaybePromise } from '../stores/store.ts';

/**
 * What a step says. `undefined`: the next step follows. An error refuses the messages. `done`: they need no further
 * step. A POST: its session is to be found again, and this is for the next attempt.
 */
export type Stop = SojournError | InboundPost | 'done' | undefined;

/** Messages on their way in. */
export interface Entry {
  readonly caller: CallerRequest;
  readonly authorizer: Authorizer | undefined;
  readonly transport: Pick<ScopedTransport, 'checkScopes'> | undefined;
  readonly requests: readonly RpcRequest[];
  /** Those that `authorize` lets their caller send. The others get their server's answer for an unknown name. */
  allowed: readonly RpcRequest[];
  /** Asked after a step that waited: what ends the way in, if the session or the client has left. */
  stopIfLeft(): Stop;
}

export type LadderSteps<E extends Entry> = ReadonlyArray<(entry: E) => MaybePromise<Stop>>;

/** Takes the steps until one of them stops. Returns a promise only where a step does. */
export function climb<E extends Entry>(steps: LadderSteps<E>, entry: E, from = 0): MaybePromise<Stop> {
  for (let n = from; n < steps.length; n += 1) {
    const stop = steps[n]?.(entry);
    if (stop instanceof Promise) return stop.then((late) => late ?? entry.stopIfLeft() ?? climb(steps, entry, n + 1));
    if (stop !== undefined) return stop;
  }
  return undefined;
}

export interface EntryHost {
  readonly options: ResolvedOptions;
  readonly gate: RequestLimits;
}

/** The messages of a POST on their way into a session that is live here. */
export abstract class SessionEntry<H extends EntryHost = EntryHost> implements Entry {
  readonly host: H;
  readonly session: LiveSession;
  readonly caller: CallerRequest;
  readonly messages: readonly Checked[];
  /** Whether the answers leave as one JSON body. */
  readonly answersOnly: boolean;
  readonly requests: readonly RpcRequest[];
  allowed: readonly RpcRequest[];
  /** Set when the requests have their ids. From then on the session counts them. */
  admitted: AdmittedPost | undefined = undefined;

  constructor(host: H, session: LiveSession, caller: CallerRequest, messages: readonly Checked[], asJson: boolean) {
    this.host = host;
    this.session = session;
    this.caller = caller;
    this.messages = messages;
    this.answersOnly = asJson;
    this.requests = this.allowed = requestsOf(messages);
  }

  /** How often the requests run, this run included. */
  get attempt(): number {
    return 1;
  }

  get authorizer(): Authorizer | undefined {
    return this.session.host.authorizer;
  }

  get transport(): SessionTransport {
    return this.session.transport;
  }

  /** Delivers the messages, in their order. */
  dispatch(): undefined {
    const { session, messages, admitted } = this;
    let next = 0;
    for (const checked of messages) {
      if (checked.kind !== 'request') {
        deliver(this, checked);
        continue;
      }
      const [request, call] = [admitted?.requests[next], admitted?.calls[next]];
      next += 1;
      // A request may have been cancelled while it waited for the store.
      if (request !== undefined && call?.isOver === false) session.calls.dispatch(request, call);
    }
  }

  abstract stopIfLeft(): Stop;
  /** The messages were delivered, and none is a request. */
  abstract delivered(): MaybePromise<Stop>;
  /** Begins the response to the requests. */
  abstract begin(admitted: AdmittedPost): Stop;
}

/** The same, where calls continue after a cut. */
interface StoredEntry extends SessionEntry {
  /** Answers requests that an earlier attempt began. */
  repeat(): MaybePromise<Stop>;
  /** Stores what must be stored before the requests run. */
  store(admitted: AdmittedPost): MaybePromise<Stop>;
}

export const STREAMABLE_HTTP: LadderSteps<StoredEntry> = [
  authorize,
  scopes,
  // Before the limits, because a first attempt that runs has the places.
  (entry) => entry.repeat(),
  sessionLimits,
  silent,
  userLimits,
  (entry) => entry.admitted && entry.store(entry.admitted),
  begin,
  dispatch,
];

/** The 2024-11-05 transport. Its sessions end with their connection, so nothing is stored, and no call comes twice. */
export const SSE: LadderSteps<SessionEntry> = [authorize, scopes, sessionLimits, silent, userLimits, begin, dispatch];

/** It precedes the scopes, which differ for what exists. */
export function authorize(entry: Entry): MaybePromise<undefined> {
  const { authorizer, requests, caller } = entry;
  if (authorizer === undefined) return undefined;
  const decided = requests.map((request) => authorizer.allows(request, caller.authInfo));
  const take = (allows: readonly boolean[]): undefined =>
    void (entry.allowed = requests.filter((_, n) => allows[n] === true));
  return decided.some((one) => one instanceof Promise)
    ? Promise.all(decided.map(async (one) => one)).then(take)
    : take(decided as boolean[]);
}

export function scopes({ authorizer, transport, allowed, caller }: Entry): MaybePromise<SojournError | undefined> {
  if (transport === undefined) throw new Error('A message without a transport, whose scopes cannot be checked');
  const refused = transport.checkScopes(allowed, caller.authInfo ?? authorizer?.unscoped);
  if (caller.authInfo !== undefined || authorizer === undefined) return refused;
  return refused instanceof Promise
    ? refused.then((refusal) => authorizer.challenge(refusal))
    : authorizer.challenge(refused);
}

/** Ids that are in flight, and how many requests and notifications of the session run. */
function sessionLimits({ host, session, requests, messages }: SessionEntry): SojournError | undefined {
  const { limits } = host.options;
  const refusal = session.calls.running.refusal(session.record, requests, limits);
  if (refusal !== undefined || requests.length === messages.length) return refusal;
  return session.calls.refusal(messages, limits.requestsPerSession);
}

/** Messages without a request need no place and no response. */
function silent(entry: SessionEntry): MaybePromise<Stop> {
  if (entry.requests.length > 0) return undefined;
  for (const checked of entry.messages) deliver(entry, checked);
  return entry.delivered();
}

/** Takes places in the limits of the user and of the tools, and then the ids. */
function userLimits(entry: SessionEntry): SojournError | undefined {
  const { host, session, caller, requests, allowed } = entry;
  const admissions = host.gate.limitsSessions ? host.gate.enterAll(caller, requests, allowed) : [];
  if (admissions instanceof SojournError) return admissions;
  entry.admitted = session.calls.admitPost(entry, requests, admissions);
  return undefined;
}

function begin(entry: SessionEntry): Stop {
  return entry.admitted && entry.begin(entry.admitted);
}

function dispatch(entry: SessionEntry): undefined {
  return entry.dispatch();
}

function deliver({ session, caller }: SessionEntry, checked: Checked): void {
  if (checked.kind === 'notification') session.calls.notification(checked.message, caller);
  else if (checked.kind === 'response') session.calls.response(checked.message, caller);
}

function requestsOf(messages: readonly Checked[]): RpcRequest[] {
  const requests: RpcRequest[] = [];
  for (const checked of messages) if (checked.kind === 'request') requests.push(checked.message);
  return requests;
}
