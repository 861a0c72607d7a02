/**
 * What the store keeps of 2026-07-28 calls that can be resumed (`resumable-answers.ts`). Each call is a record of the
 * kind `CALLS`. Its id is a hash of the secret and the user, so no other user finds it. Its owner is the instance that
 * runs the call, its body the request, and its outcome the answer.
 *
 *     created ──answered──▶ ended with the answer ──kept long enough──▶ gone
 *        │ ╰──its owner drains──▶ without owner ──claimed──▶ runs again
 *        ╰────its owner is dead──────────────────╯
 */
import { digestText } from '../../base/digest.ts';
import { PendingWrites } from '../../owned/pending-writes.ts';
import type { CallerRequest } from '../../http/exchange.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { relayedFields } from '../../options/header-names.ts';
import { within } from '../../base/system.ts';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import { type RequestFields, storedFields } from '../../relay/sent-request.ts';
import { rightsOf } from '../../session/calls/rights.ts';
import type { EndpointStore } from '../../session/record/record-kinds.ts';
import { sessionHash } from '../../base/shown.ts';
import { KEPT_REQUEST_LENGTH } from '../../session/calls/markers.ts';
import { type Fence, isEnded, type MaybePromise, RECORD_VERSION, type Records } from '../../stores/store.ts';

/** How long a record lasts that its owner does not extend: longer than any instance takes to be found dead. */
const RECORD_MS = 300_000;
/** Most of these writes take a few ms. The head of a response does not wait longer than this for its record. */
const CREATE_MS = 500;

/** A request as the instance needs it that runs it again, with the fields that instances relay: it holds no token. */
interface KeptCall extends RequestFields {
  /** A digest of the caller's rights (`session/calls/rights.ts`); absent: an anonymous caller. */
  readonly rights?: string | undefined;
  /** Absent: too long to be kept. */
  readonly request?: RpcRequest;
}

export interface CallRecord {
  readonly key: string;
  readonly epoch: number;
  readonly owner: string | null;
  readonly version: string;
  readonly kept: KeptCall | undefined;
  /** The JSON text of the answer; `undefined`: there is none yet. */
  readonly answer?: string;
}

interface NewCall extends Pick<CallRecord, 'key' | 'version'> {
  readonly caller: CallerRequest;
  readonly request: RpcRequest;
}

/** The id of a call's record: who reads the store cannot fetch an answer with it. */
export function callKey(secret: string, user: string | undefined): string {
  return digestText(JSON.stringify([secret, user ?? null]));
}

export class CallRecords {
  readonly #store: EndpointStore;
  readonly #options: ResolvedOptions;
  readonly #isKept: (field: string) => boolean;
  readonly #writes: PendingWrites;

  constructor(store: EndpointStore, options: ResolvedOptions) {
    this.#store = store;
    this.#options = options;
    this.#writes = new PendingWrites(options.timeProvider);
    this.#isKept = relayedFields(options.relayedHeaders, options.credentialHeaders);
  }

  /** Throws while the store is not open. */
  get #records(): Records {
    return this.#store.calls;
  }

  /** `undefined`: the store did not take it in time, so this call cannot be resumed. */
  async create({ key, version, caller, request }: NewCall, owner: string): Promise<Fence | undefined> {
    const { timeProvider, logger } = this.#options;
    const kept: KeptCall = { ...storedFields(caller, this.#isKept), rights: rightsOf(caller.authInfo) };
    const whole = JSON.stringify({ ...kept, request });
    const body = whole.length > KEPT_REQUEST_LENGTH ? JSON.stringify(kept) : whole;
    const [fence, user, now] = [{ epoch: 1, owner }, caller.user ?? null, timeProvider.now()];
    const record = { v: RECORD_VERSION, id: key, ...fence, user, head: version, body, fields: {} };
    const create = async (): Promise<Fence | undefined> => {
      const created = await this.#records.create({ ...record, createdAt: now, stamp: now }, RECORD_MS);
      return created === 'created' ? fence : undefined;
    };
    const created = create().catch((err: unknown) => {
      logger.debug({ err, call: sessionHash(key) }, 'A call could not be recorded: it cannot be resumed');
      return undefined;
    });
    return within(timeProvider, CREATE_MS, created, () => undefined);
  }

  /** `undefined`: there is none, it has expired, or it was cancelled. */
  async read(key: string): Promise<CallRecord | undefined> {
    const record = await this.#records.read(key);
    if (record === undefined) return undefined;
    if (isEnded(record)) return answered(key, record.outcome);
    const { epoch, owner, head, body } = record;
    return { key, epoch, owner, version: head, kept: keptOf(body) };
  }

  /** `undefined`: another instance claimed it. */
  async claim({ key, epoch, owner }: CallRecord, me: string): Promise<Fence | undefined> {
    const outcome = await this.#records.claim(key, { epoch, owner }, me);
    return outcome.claimed ? { epoch: outcome.record.epoch, owner: me } : undefined;
  }

  /** Ends the record with the answer, which is kept as long as in memory. */
  finish(key: string, fence: Fence, json: string): void {
    const outcome = `${JSON.stringify([fence.epoch, fence.owner])}\n${json}`;
    const keptMs = this.#options.retry.answerKeptMs;
    this.#write(key, 'The answer of a call could not be stored', (records) => records.end(key, fence, outcome, keptMs));
  }

  extend(key: string, fence: Fence): void {
    const change = { expiresInMs: RECORD_MS };
    this.#write(key, 'The record of a call could not be extended', (records) => records.save(key, fence, change));
  }

  /** Another instance may run the call again. */
  release(key: string, fence: Fence): void {
    this.#write(key, 'A call could not be handed over', (records) => records.save(key, fence, { release: true }));
  }

  /** There will be no answer. */
  end(key: string, fence: Fence): void {
    this.#write(key, 'The end of a call could not be stored', (records) => records.end(key, fence, ''));
  }

  /** The record expires by itself, so a write that fails costs at most the call. */
  #write(key: string, failed: string, write: (records: Records) => MaybePromise<unknown>): void {
    const notStored = (err: unknown): void => this.#options.logger.error({ err, call: sessionHash(key) }, failed);
    this.#writes.add(() => write(this.#records), notStored);
  }

  /** Resolves when every answer so far is stored, or could not be. */
  stored(): Promise<void> {
    return this.#writes.stored();
  }
}

/** `outcome`: who answered, as a line of JSON, then the answer. */
function answered(key: string, outcome: string): CallRecord | undefined {
  if (outcome === '') return undefined;
  const line = outcome.indexOf('\n');
  const [epoch, owner] = JSON.parse(outcome.slice(0, line)) as [number, string];
  return { key, epoch, owner, version: '', kept: undefined, answer: outcome.slice(line + 1) };
}

function keptOf(body: string): KeptCall | undefined {
  try {
    const kept: unknown = JSON.parse(body);
    return isObject(kept) && isObject(kept['headers']) ? (kept as unknown as KeptCall) : undefined;
  } catch {
    return undefined;
  }
}
