/**
 * Opens a session for an `initialize`: space, id, server, handshake, the migration handler's hook, the record, in this
 * order. So a client only gets an id that is recorded, and a failure at any step leaves nothing behind. If the client
 * disconnects first, the session is dropped, because no client has its id.
 */
import { isInitializeRequest } from '@modelcontextprotocol/server';
import {
  factoryFailed,
  handshakeHasTooManyKeys,
  handshakeTooLarge,
  hookReturned,
  invalidParams,
  findsNoRoom,
  leaseLost,
  storeUnavailable,
  SojournError,
} from '../../base/errors.ts';
import type { CallerRequest } from '../../http/caller-request.ts';
import { bytesOfText } from '../../base/protocol/json-size.ts';
import type { RpcRequest, RpcResponse } from '../../base/protocol/jsonrpc.ts';
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';
import type { CreateOutcome, NewRecord } from '../../stores/store.ts';
import { shareKey } from '../../base/budget.ts';
import { idText, type RandomSource } from '../../base/system.ts';
import type { WorkerIds } from '../../base/worker-ids.ts';
import type { SessionIdGenerator } from '../../base/types.ts';
import { type Handshake, handshakeIn, knownHandshake } from '../record/handshake.ts';
import type { SessionBuilder } from './session-builder.ts';
import { hookThrew, inHookTime, inHookTimeWith } from '../../base/hook-time.ts';
import { keepUnlessForgotten } from '../record/forgotten-users.ts';
import { whileAway } from '../record/pause.ts';
import type { LiveSessions } from './leaving-sessions.ts';
import type { StoredShares } from './stored-shares.ts';
import { sessionHash } from '../../base/shown.ts';
import type { LiveSession } from '../session.ts';

const ID_BYTES = 16;
/** Bytes of the parameters of an `initialize`. Every known client sends less than 2 KiB. */
const HANDSHAKE_BYTES = 16_384;
/** Their keys and objects: values with many of them take more memory than their text. */
const HANDSHAKE_KEYS = 512;
/** Idle sessions of its user that make room for one, at most. */
const FULL_TRIES = 16;
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/** The registry, as it takes a new session in. */
interface OpenedSessions extends LiveSessions {
  readonly stored: StoredShares;
  withPlaces<T>(caller: CallerRequest, bytes: number, make: () => Promise<T>): Promise<T>;
  add(session: LiveSession): void;
}

export interface Opened {
  /** Undefined: the server refused the handshake, and the answer says why. */
  readonly session: LiveSession | undefined;
  readonly answer: RpcResponse;
}

export class SessionOpener {
  readonly #options: ResolvedOptions;
  readonly #registry: OpenedSessions;
  readonly #builder: SessionBuilder;
  readonly #random: RandomSource;
  readonly #ids: WorkerIds;

  constructor(
    registry: OpenedSessions,
    builder: SessionBuilder,
    random: RandomSource,
    ids: WorkerIds,
  ) {
    this.#options = registry.options;
    this.#registry = registry;
    this.#builder = builder;
    this.#random = random;
    this.#ids = ids;
  }

  /** `undefined`: the client disconnected, and the session was dropped. `unlogged`: see `SessionStart`. */
  async open(
    message: RpcRequest,
    caller: CallerRequest,
    unlogged = false,
  ): Promise<Opened | undefined> {
    this.#checkAdmitted();
    const handshake = checkedHandshake(message);
    if (handshake instanceof SojournError) throw handshake;
    const registry = this.#registry;
    const share = shareKey(caller.userKey, caller.clientAddress);
    return registry.withPlaces(caller, handshake.bytes, () =>
      registry.stored.admit(share, () => this.#open(message, handshake, caller, unlogged)),
    );
  }

  #checkAdmitted(): void {
    const { refusal } = this.#registry.lifecycle;
    if (refusal !== undefined) throw refusal;
  }

  async #open(
    message: RpcRequest,
    handshake: Handshake,
    caller: CallerRequest,
    unlogged: boolean,
  ): Promise<Opened | undefined> {
    const { sessionIdGenerator } = this.#options;
    const id =
      sessionIdGenerator === undefined
        ? this.#ids.of(idText(this.#random(ID_BYTES)))
        : await this.#newId(sessionIdGenerator, message, caller);
    if (caller.closed) return undefined;
    const session = await this.#builder.make(id, handshake, caller, unlogged);
    try {
      const answer = await this.#builder.initialize(session, message, caller);
      checkOpen(session);
      if (answer.error !== undefined) {
        await session.leave('closed');
        return { session: undefined, answer };
      }
      const told = this.#initialized(session, caller);
      if (told !== undefined) await told;
      checkOpen(session);
      if (caller.closed) {
        await session.leave('closed');
        this.#registry.leaving.endHook.ended(session.id, 'deleted');
        return undefined;
      }
      await this.#record(session, caller);
      // If the lease ran out during this, the sessions that were live have been claimed again already.
      while (session.ownership.owner !== this.#registry.lease.owner)
        if (!(await session.ownership.claim())) throw leaseLost();
      // No other session takes its place before its client has the answer: `opening.ts` calls `exit`.
      session.enter();
      this.#registry.add(session);
      checkOpen(session);
      if (!caller.closed && this.#registry.lifecycle.refusal === undefined)
        return { session, answer };
      await this.#registry.leaving.end(session, 'deleted');
      this.#checkAdmitted();
      return undefined;
    } catch (error) {
      await session.giveUp('closed', error);
      throw error;
    }
  }

  /** `undefined`: the application has no such hook. */
  #initialized(session: LiveSession, caller: CallerRequest): Promise<void> | undefined {
    const { sessionMigrationHandler } = this.#options;
    if (sessionMigrationHandler?.onSessionInitialized === undefined) return undefined;
    const hook = { hook: 'sessionMigrationHandler.onSessionInitialized', sessionId: session.id };
    // The server may have written into the message.
    const params = session.handshake.copy();
    return inHookTimeWith(this.#options, hook, caller.request.signal, (signal) =>
      sessionMigrationHandler.onSessionInitialized?.(caller.request, session.id, params, signal),
    ).catch(hookThrew(hook.hook));
  }

  async #record(session: LiveSession, caller: CallerRequest): Promise<void> {
    const { timeProvider: time, maxWaitMs } = this.#options;
    const wait = {
      time,
      maxWaitMs,
      stopped: () => caller.closed || this.#registry.lifecycle.refusal !== undefined,
    };
    const { store } = this.#registry;
    const { sessions } = store;
    const create = async (record: NewRecord): Promise<CreateOutcome> => {
      for (let tries = 1; ; tries++)
        try {
          return await sessions.create(record, this.#registry.expiresInMs());
        } catch (cause) {
          const isOver = !findsNoRoom(cause) || tries === FULL_TRIES;
          if (isOver || !(await this.#registry.stored.endIdle(session.share))) throw cause;
        }
    };
    let outcome: CreateOutcome;
    try {
      outcome = await session.record.create(async (record) => {
        const created = await whileAway(wait, () => create(record));
        if (record.user !== null && created === 'created')
          await whileAway(wait, () => keepUnlessForgotten(store, sessions, record));
        return created;
      });
    } catch (cause) {
      // If the store has the record without a reply, the sweep ends the session once it has expired.
      this.#registry.leaving.endHook.ended(session.id, 'deleted');
      throw cause instanceof SojournError ? cause : storeUnavailable('recording a session', cause);
    }
    if (outcome === 'exists')
      throw factoryFailed(`the session id ${sessionHash(session.id)} exists already`);
  }

  async #newId(
    generator: SessionIdGenerator,
    message: RpcRequest,
    { request, userKey: user }: CallerRequest,
  ): Promise<string> {
    const hook = { hook: 'sessionIdGenerator', sessionId: undefined };
    const limit = this.#options.sessionIdLength;
    for (let tries = 0; tries < 2; tries++) {
      const made = (async () =>
        generator({ request, params: message.params as never, userKey: user }))();
      const id: unknown = await inHookTime(this.#options, hook, made).catch(hookThrew(hook.hook));
      if (typeof id !== 'string' || id.length > limit || !VISIBLE_ASCII.test(id)) {
        throw factoryFailed(
          `sessionIdGenerator must return 1 to ${limit} characters of visible ASCII`,
        );
      }
      if (
        this.#registry.get(id) === undefined &&
        (await this.#registry.store.sessions.read(id)) === undefined
      )
        return id;
    }
    throw factoryFailed('sessionIdGenerator returned an id that exists, twice');
  }
}

/** The handshake of an `initialize`, or what is wrong with it. A known handshake is not checked again. */
function checkedHandshake(message: RpcRequest): Handshake | SojournError {
  const text = JSON.stringify(message.params) ?? '';
  if (Buffer.byteLength(text) > HANDSHAKE_BYTES) return handshakeTooLarge(HANDSHAKE_BYTES);
  const found = knownHandshake(text);
  if (found !== undefined) return found;
  if (bytesOfText(text, HANDSHAKE_KEYS) < 0) return handshakeHasTooManyKeys(HANDSHAKE_KEYS);
  if (isInitializeRequest(message)) return handshakeIn(text);
  return invalidParams(
    'initialize needs protocolVersion, capabilities and clientInfo (name, version)',
  );
}

function checkOpen({ left, ownership }: LiveSession): void {
  if (!left) return;
  throw ownership.leaveReason === 'handler_returned'
    ? hookReturned('while its session was being opened')
    : factoryFailed('the session ended while it was being opened');
}
