/**
 * Clients of 2026-07-28 calls that come back with GET and the last event id (option `resumeModernCalls`).
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
import type { Exchange } from '../../http/exchange.ts';
import { messageFrame, pointFrame, SSE_HEADERS } from '../../http/response.ts';
import { backoffMs, elapse, type RandomSource } from '../../options/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { ContinuedExchange } from '../../relay/continued-exchange.ts';
import type { Relay } from '../../relay/relay.ts';
import { isStoreAway } from '../../session/record/pause.ts';
import type { Replays } from '../../session/streams/replays.ts';
import { rightsOf } from '../../session/calls/rights.ts';
import { callKey, type CallRecord, type CallRecords } from './call-records.ts';
import { type CallPosition, formatCallPosition, parseCallPosition, resumedPosition } from './call-position.ts';
import { respondComeBack, respondLostAnswer } from './lost-answers.ts';
import type { ResumableCalls } from './resumable-calls.ts';
import { readsHeaders, type RequestOrigin, type ResumableExchange } from './resumable-exchange.ts';

/** Attempts to find a call whose owner changes at the same time: about a second in all. */
const TRIES = 12;
const PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 150;
const noop = (): void => {};

export interface ReturningClientsOptions {
  readonly options: ResolvedOptions;
  readonly calls: ResumableCalls;
  readonly records: CallRecords;
  readonly relay: Pick<Relay, 'send'>;
  readonly instance: {
    readonly owner: string;
    readonly valid: boolean;
    isAlive(id: string): Promise<boolean>;
    isUnreachable(id: string): boolean;
  };
  readonly random: RandomSource;
  readonly replays: Replays;
  /** Whether a lost call may run again, as its server says now. */
  mayRunTwice(call: LostCall): Promise<boolean>;
  /** Runs a lost call again. */
  run(exchange: ResumableExchange, call: LostCall): void;
}

/** A call whose instance is lost, as it was sent. Its caller is the one who asks for its answer. */
export interface LostCall {
  readonly origin: RequestOrigin;
  readonly request: RpcRequest;
  readonly version: string;
}

/** A client that came back for an answer. */
interface Reader {
  client: Exchange;
  /** The last event that it has. */
  position: CallPosition;
}

export class ReturningClients {
  readonly #given: ReturningClientsOptions;
  readonly #options: ResolvedOptions;
  readonly #records: CallRecords;
  /** Lost calls that are looked at here now. */
  readonly #restarting = new Map<string, Promise<unknown>>();

  constructor(given: ReturningClientsOptions) {
    this.#given = given;
    this.#options = given.options;
    this.#records = given.records;
  }

  /** Answers a GET whose `Last-Event-ID` is this position of a call. */
  async resume(client: Exchange, position: CallPosition): Promise<void> {
    const { timeProvider, waitMs } = this.#options;
    const reader: Reader = { client, position };
    const until = timeProvider.monotonic() + waitMs;
    for (let tries = 0; !reader.client.closed && !this.#given.calls.closed; tries++) {
      if (tries > 1) await elapse(timeProvider, this.#pauseMs(tries));
      try {
        if (await this.#serve(reader)) return;
        if (tries >= TRIES) break;
      } catch (err) {
        if (isStoreAway(err) && timeProvider.monotonic() < until) continue;
        this.#options.logger.warn({ err }, 'The answer to a call could not be fetched');
        break;
      }
    }
    this.#respondLost(reader, answerNotKept());
  }

  /** Past a limit the GET ends cleanly, and a call that runs here continues until its client comes back. */
  delay(client: Exchange, position: CallPosition): void {
    const { calls } = this.#given;
    const exchange = calls.find(callKey(position.secret));
    if (exchange !== undefined && exchange.user === client.user) calls.stays(exchange);
    respondComeBack(client, position, this.#options.retryMs);
  }

  #pauseMs(tries: number): number {
    return backoffMs(Math.min(tries, TRIES) - 2, PAUSE_MS, LONGEST_PAUSE_MS, this.#given.random);
  }

  /** One attempt. `false`: the call has moved, so look again. */
  async #serve(reader: Reader): Promise<boolean> {
    const { instance, relay } = this.#given;
    const key = callKey(reader.position.secret);
    if (this.#serveHere(key, reader)) return true;
    const record = await this.#records.read(key, reader.client.user);
    if (reader.client.closed || this.#serveHere(key, reader)) return true;
    if (record === undefined) return this.#respondLost(reader, answerNotKept());
    const { owner } = record;
    const isAlive = owner !== null && owner !== instance.owner && (await instance.isAlive(owner));
    const { relayOrigin } = reader.client;
    if (isAlive && relayOrigin !== undefined) {
      relayOrigin.refuse();
      return true;
    }
    if (isAlive) {
      const exchange = this.#openHead(reader);
      const outcome = await relay.send(owner, { kind: 'get', exchange, requestId: null, again: false });
      if (outcome.relayed === 'done') return true;
      if (outcome.relayed === 'lost' && outcome.lastEventId !== undefined)
        this.#moveOn(reader, exchange, outcome.lastEventId);
    }
    if (await this.#serveStored(reader, record)) return true;
    if (isAlive) return instance.isUnreachable(owner) && this.#respondLost(reader, callUnreachable());
    // The run of this instance was cancelled.
    if (owner !== null && owner === instance.owner) return this.#respondLost(reader, answerNotKept());
    return this.#inTurn(key, () => this.#runAgain(reader, record));
  }

  /** `false`: the store has no answer. */
  async #serveStored(reader: Reader, record: CallRecord): Promise<boolean> {
    const end = await this.#given.replays.begin(record.key, reader.client, () => void this.#openHead(reader));
    if (end === undefined) return true;
    try {
      const json = await this.#records.answer(record);
      return json !== undefined && this.#respondStored(reader, record, json);
    } finally {
      end();
    }
  }

  #serveHere(key: string, reader: Reader): boolean {
    const exchange = this.#given.calls.find(key);
    if (exchange === undefined) return false;
    if (exchange.user !== reader.client.user) return this.#respondLost(reader, answerNotKept());
    exchange.attach(reader.client, reader.position);
    return true;
  }

  /** The head leaves before another instance is asked, which may be dead: some clients give up without one. */
  #openHead(reader: Reader): Exchange {
    const { client, position } = reader;
    if (client instanceof ContinuedExchange) return client;
    const lastEventId = formatCallPosition(resumedPosition(position));
    client.openStream(SSE_HEADERS);
    client.write(pointFrame(lastEventId, this.#options.retryMs, true));
    return this.#moveOn(reader, client, lastEventId);
  }

  /** Its client has seen another event since. */
  #moveOn(reader: Reader, client: Exchange, lastEventId: string): Exchange {
    reader.position = parseCallPosition(lastEventId) ?? reader.position;
    return (reader.client = new ContinuedExchange(client, lastEventId, true, null));
  }

  #respondLost({ client, position }: Reader, error: SojournError): true {
    respondLostAnswer(client, position, error, this.#options);
    return true;
  }

  #respondStored({ client, position }: Reader, { epoch }: CallRecord, json: string): true {
    const id = formatCallPosition({ ...position, run: epoch, ended: true });
    client.respond(200, SSE_HEADERS, messageFrame(json, id));
    return true;
  }

  /** One lost call is looked at for one client at a time. */
  async #inTurn(key: string, work: () => Promise<boolean>): Promise<boolean> {
    for (let before = this.#restarting.get(key); before !== undefined; before = this.#restarting.get(key)) await before;
    const turn = work();
    const over = turn.then(noop, noop).then(() => void this.#restarting.delete(key));
    this.#restarting.set(key, over);
    return turn;
  }

  async #runAgain(reader: Reader, record: CallRecord): Promise<boolean> {
    const { instance, calls, mayRunTwice, run } = this.#given;
    const { key, kept, version } = record;
    if (this.#serveHere(key, reader)) return true;
    if (!instance.valid) return false;
    const { authInfo, user } = reader.client;
    if (kept?.request === undefined || kept.rights !== rightsOf(authInfo)) {
      this.#options.logger.info({}, 'A lost call is not run again: it was too long, or this caller has other rights');
      return this.#respondLost(reader, ownerLost(true));
    }
    const { request, url, absoluteUrl } = kept;
    const origin: RequestOrigin = {
      method: 'POST',
      url,
      absoluteUrl: () => absoluteUrl,
      ...readsHeaders(kept.headers),
      canonicalHeaders: new Map(),
      authInfo,
      user,
    };
    const lost: LostCall = { origin, request, version };
    this.#openHead(reader);
    if (!(await mayRunTwice(lost))) return this.#respondLost(reader, ownerLost(true));
    // Its client left, and may come back.
    if (reader.client.closed) return true;
    const fence = await this.#records.claim(record, instance.owner);
    if (fence === undefined) return false;
    const first = { ...reader.position, run: fence.epoch, offset: 0, resumes: 0 };
    const exchange = calls.restart(origin, first, { key, request, version, fence });
    if (reader.client.closed) exchange.cancel();
    else {
      exchange.attach(reader.client, reader.position);
      run(exchange, lost);
    }
    return true;
  }
}
