/**
 * 2026-07-28 cannot resume a response: when its connection breaks, the request is cancelled. Clients of most SDKs come
 * back all the same, with a GET and the last event id that they saw, and those that saw none wait for their timeout. So
 * each stream begins with an event that has an id (`call-position.ts`), and this GET is answered at once: an error says
 * that the request may have run (`respondLost`). With the option `resumeModernCalls` the GET gets the answer:
 *
 *     runs here                         → the GET takes the stream over
 *     runs at another instance          → the GET is relayed there
 *     answered, its instance is dead    → the answer, from the store
 *     not answered, without an instance → it runs again if it may run twice and this caller has equal rights,
 *                                         else `owner_lost`, `mayHaveRun: true`
 *     unknown, expired, another user's  → `answer_not_kept`, `mayHaveRun: true`
 *
 * A crash leaves a record whose owner is dead. The first instance that gets the GET claims it. An instance that was
 * only believed dead continues its run: such a call may run twice, so both answers are right, and the store takes one.
 */
import { answerNotKept, callUnreachable, ownerLost, type SojournError } from '../../errors.ts';
import { errorJson, lostForm } from '../../http/answer.ts';
import type { CallerRequest } from '../../http/exchange.ts';
import type { Sink, ResponsePolicy } from '../../http/sink.ts';
import type { ResumedNotice } from '../../observe/step-notices.ts';
import { backoffMs, elapse, type RandomSource } from '../../base/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { Inbound } from '../../inbound/inbound.ts';
import { forLost } from '../../inbound/retries.ts';
import type { Relay } from '../../relay/relay.ts';
import { isStoreAway } from '../../session/record/pause.ts';
import type { OwnLease } from '../../session/ownership/session-ownership.ts';
import { endedId, resumedId } from '../../session/streams/event-id.ts';
import type { Replays } from '../../session/streams/replays.ts';
import { rightsOf } from '../../session/calls/rights.ts';
import { RecordQueues } from '../../stores/shared/record-queues.ts';
import { callKey, type CallRecord, type CallRecords } from './call-records.ts';
import { type CallPosition, parseCallPosition } from '../call-position.ts';
import { mayRunTwice } from './may-run-twice.ts';
import type { ResumableAnswers } from './resumable-answers.ts';
import type { CallRequest } from '../../relay/sent-request.ts';
import type { UnattendedServer } from './unattended-request.ts';

/** Attempts to find a call whose owner changes at the same time: about a second in all. */
const TRIES = 12;
const PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 150;

export interface ReturningClientsOptions {
  readonly options: ResolvedOptions;
  readonly calls: ResumableAnswers;
  readonly records: CallRecords;
  readonly instance: {
    readonly lease: Pick<OwnLease, 'owner' | 'valid'>;
    isAlive(id: string): Promise<boolean>;
    isUnreachable(id: string): boolean;
  };
  readonly random: RandomSource;
  readonly response: ResponsePolicy;
  readonly replays: Replays;
  readonly server: UnattendedServer;
}

/** A client that came back for an answer. */
interface Returned {
  readonly inbound: Inbound;
  readonly relay: Pick<Relay, 'send'>;
  /** The event after which it asks. */
  readonly asked: CallPosition;
}

/** The last event that its client has. */
const positionOf = ({ inbound, asked }: Returned): CallPosition => parseCallPosition(inbound.sink.lastId) ?? asked;

export class ReturningClients {
  readonly #given: ReturningClientsOptions;
  readonly #options: ResolvedOptions;
  readonly #records: CallRecords;
  /** Lost calls that are looked at here now. */
  readonly #restarts = new RecordQueues();

  constructor(given: ReturningClientsOptions) {
    this.#given = given;
    this.#options = given.options;
    this.#records = given.records;
  }

  /** Answers a GET whose `Last-Event-ID` is this position of a call. */
  async resume(inbound: Inbound, asked: CallPosition, relay: Returned['relay']): Promise<void> {
    const { timeProvider, waitMs } = this.#options;
    const returned: Returned = { inbound, relay, asked };
    const until = timeProvider.monotonic() + waitMs;
    for (let tries = 0; !inbound.caller.closed && !this.#given.calls.closed; tries++) {
      if (tries > 1) await elapse(timeProvider, this.#pauseMs(tries));
      try {
        if (await this.#serve(returned)) return;
        if (tries >= TRIES) break;
      } catch (err) {
        if (isStoreAway(err) && timeProvider.monotonic() < until) continue;
        this.#options.logger.error({ err }, 'The answer to a call could not be fetched: its client gets an error');
        break;
      }
    }
    this.#respondLost(returned, answerNotKept());
  }

  /**
   * Past a limit the GET ends cleanly, with a new event id, and a call that runs here continues until its client comes
   * back. Some clients hang when a resume is refused.
   */
  delay({ caller, sink }: Inbound, position: CallPosition): void {
    const { calls, response } = this.#given;
    calls.find(callKey(position.tag, caller.user))?.stays();
    sink.begin(response);
    sink.point(resumedId(position), this.#options.retryMs, true);
    sink.end();
  }

  #pauseMs(tries: number): number {
    return backoffMs(Math.min(tries, TRIES) - 2, PAUSE_MS, LONGEST_PAUSE_MS, this.#given.random);
  }

  /** One attempt. `false`: the call has moved, so look again. */
  async #serve(returned: Returned): Promise<boolean> {
    const { instance } = this.#given;
    const { inbound, relay, asked } = returned;
    const { caller: client, sink } = inbound;
    const key = callKey(asked.tag, client.user);
    if (this.#serveHere(key, returned)) return true;
    const record = await this.#records.read(key);
    if (client.closed || this.#serveHere(key, returned)) return true;
    if (record === undefined) return this.#respondLost(returned, answerNotKept());
    const { owner } = record;
    const isMine = owner === instance.lease.owner;
    const isAlive = owner !== null && !isMine && (await instance.isAlive(owner));
    if (isAlive && client.relayOrigin !== undefined) {
      sink.handOver(false);
      return true;
    }
    if (isAlive) {
      this.#openHead(returned);
      if ((await relay.send(owner, { ...inbound, after: sink.lastId })) === 'done') return true;
    }
    const { epoch, answer } = record;
    if (answer !== undefined) return this.#respondStored(returned, key, epoch, answer);
    if (isAlive) return instance.isUnreachable(owner) && this.#respondLost(returned, callUnreachable());
    // A run of this instance was cancelled, or its claim has not answered yet.
    if (isMine) return false;
    // For one client at a time, because a claim that this instance repeats succeeds.
    const earlier = this.#restarts.last(key);
    if (earlier === undefined) return this.#restarts.steps(key, () => this.#runAgain(returned, record));
    await earlier;
    return false;
  }

  #serveHere(key: string, returned: Returned): boolean {
    const call = this.#given.calls.find(key);
    if (call === undefined) return false;
    call.attach(returned.inbound.sink, positionOf(returned));
    this.#note('continued');
    return true;
  }

  /** The head leaves before another instance is asked, which may be dead: some clients give up without one. */
  #openHead(returned: Returned): void {
    const { sink } = returned.inbound;
    if (sink.hasBegun) return;
    sink.begin(this.#given.response);
    sink.point(resumedId(positionOf(returned)), this.#options.retry.ms, true);
    sink.sendHead();
  }

  #note(outcome: ResumedNotice['outcome']): void {
    const { notices } = this.#options;
    if (notices.watchesDetails) notices.detail({ kind: 'resumed', outcome });
  }

  #respondLost(returned: Returned, error: SojournError): true {
    this.#note('gap');
    const { sink } = returned.inbound;
    sink.begin(this.#given.response);
    respondLost(sink, positionOf(returned), error, this.#options);
    return true;
  }

  async #respondStored(returned: Returned, key: string, epoch: number, answer: string): Promise<true> {
    const { caller, sink } = returned.inbound;
    const end = await this.#given.replays.begin(key, caller, () => this.#openHead(returned));
    this.#note('continued');
    sink.begin(this.#given.response);
    sink.message(answer, endedId({ ...positionOf(returned), epoch }));
    sink.end();
    end?.();
    return true;
  }

  async #runAgain(returned: Returned, record: CallRecord): Promise<boolean> {
    const { instance, calls, options, server } = this.#given;
    const { caller: client, sink } = returned.inbound;
    if (!instance.lease.valid) return false;
    const lost = lostCall(record, client);
    if (lost === undefined)
      this.#options.logger.info({}, 'A lost call is not run again: it was too long, or this caller has other rights');
    else this.#openHead(returned);
    const repeatable = lost !== undefined && (await mayRunTwice(lost, options, server)) === true;
    // Only dispatched calls have a record, and each call has its own.
    const { runs, mayHaveRun } = forLost({ kept: lost !== undefined, newest: true, marked: true, repeatable });
    const method = record.kept?.request?.method;
    if (lost === undefined || !runs) {
      options.notices.emit({ kind: 'callLost', runsAgain: false, method });
      return this.#respondLost(returned, ownerLost(mayHaveRun));
    }
    // Its client left, and may come back.
    if (client.closed) return true;
    const fence = await this.#records.claim(record, instance.lease.owner);
    if (fence === undefined) return false;
    options.notices.emit({ kind: 'callLost', runsAgain: true, method });
    const call = calls.restart(lost, { ...returned.asked, epoch: fence.epoch, offset: 0, resumes: 0 }, fence);
    if (client.closed) call.cancel();
    else {
      call.attach(sink, positionOf(returned));
      server.serveUnattended(call, true);
    }
    return true;
  }
}

/** The call for this caller; `undefined`: it was too long to be kept, or this caller has other rights. */
function lostCall({ kept, version }: CallRecord, { authInfo, user }: CallerRequest): CallRequest | undefined {
  if (kept?.request === undefined || kept.rights !== rightsOf(authInfo)) return undefined;
  return { fields: { ...kept, user }, authInfo, request: kept.request, version };
}

/** An error as an event. Its id says that nothing follows, because some clients return after every error. */
export function respondLost(
  sink: Sink,
  position: CallPosition,
  error: SojournError,
  options: Pick<ResolvedOptions, 'lostCalls'>,
): void {
  const form = lostForm(options, position.isTool ? 'tools/call' : undefined, 'modern');
  sink.message(errorJson(error, position.call, form), endedId(position));
  sink.end();
}
