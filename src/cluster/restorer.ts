/**
 * Makes sessions live here that were live elsewhere: by a claim and the record (restore), or by the handshake that a
 * migration handler vouches for (adopt). What fails is given back: the session is kept, for a later try or another instance.
 */
import type { InitializeRequestParams } from '@modelcontextprotocol/server';
import { restoreFailed, sessionNotFound, SojournError } from '../errors.ts';
import type { ResolvedOptions } from '../options/endpoint-options.ts';
import {
  isEnded,
  type ClaimOutcome,
  type Fence,
  type OpenStore,
  type OpenStreamInfo,
  type SessionRecord,
} from '../stores/store.ts';
import type { McpHttpRequest } from '../types.ts';
import { handshakeOf, type SessionBuilder } from '../session/builder.ts';
import type { MessageSource } from '../session/context.ts';
import { GET_STREAM, postStreamEpoch } from '../session/event-id.ts';
import { orHookTimeout } from '../session/hook-time.ts';
import type { ListNews } from '../session/list-news.ts';
import type { Registry } from '../session/registry.ts';
import { takeOrphans } from '../session/rerun.ts';
import type { LiveSession } from '../session/session.ts';

type Claimed = Extract<ClaimOutcome, { claimed: true }>;

/** Whose request makes a session live. */
export interface Caller extends MessageSource {
  readonly request: McpHttpRequest;
  readonly user: string | undefined;
  readonly signal: AbortSignal;
}

export interface RestorerOptions {
  readonly options: ResolvedOptions;
  readonly store: OpenStore;
  readonly registry: Registry;
  readonly builder: SessionBuilder;
  readonly news: ListNews;
  readonly ownerId: () => string;
}

export class Restorer {
  readonly #options: ResolvedOptions;
  readonly #store: OpenStore;
  readonly #registry: Registry;
  readonly #builder: SessionBuilder;
  readonly #news: ListNews;
  readonly #ownerId: () => string;
  readonly #restoring = new Map<string, Promise<void>>();
  /** Set when drained or closed: what was still being restored then is given back, with this error. */
  stopped: (() => SojournError) | undefined = undefined;

  constructor({ options, store, registry, builder, news, ownerId }: RestorerOptions) {
    this.#options = options;
    this.#store = store;
    this.#registry = registry;
    this.#builder = builder;
    this.#news = news;
    this.#ownerId = ownerId;
  }

  /** Of a session that is being restored here right now. */
  restoring(id: string): Promise<void> | undefined {
    return this.#restoring.get(id);
  }

  /** Resolves without a live session when the claim was lost: the caller reads again. Callers of one session share it. */
  restore(record: SessionRecord, caller: Caller): Promise<void> {
    const running = this.#restoring.get(record.id);
    if (running !== undefined) return running;
    // It became live while the caller read its record: a claim now would make a second copy.
    if (this.#registry.get(record.id) !== undefined) return Promise.resolve();
    const restoring = this.#claimAndRestore(record, caller).finally(() => this.#restoring.delete(record.id));
    this.#restoring.set(record.id, restoring);
    return restoring;
  }

  async #claimAndRestore(record: SessionRecord, caller: Caller): Promise<void> {
    // Before there is space for it: the one that is woken must not be the one that goes.
    const slept = this.#registry.sleepers.take(record.id, record.activeAt);
    try {
      await this.#restoreWithin(record, caller, slept ? 'wake' : 'takeover');
    } catch (cause) {
      const ended = cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND';
      if (slept && !ended) this.#registry.sleepers.add(record.id, record.activeAt);
      throw cause;
    }
  }

  async #restoreWithin(record: SessionRecord, caller: Caller, cause: 'wake' | 'takeover'): Promise<void> {
    const release = await this.#registry.reserve();
    try {
      const owner = this.#ownerId();
      const outcome = await this.#store.sessions.claim(record.id, record.epoch, owner);
      if (!outcome.claimed) return;
      const session = await this.#rebuild(outcome, caller);
      if (session !== undefined) await this.#add(session, cause);
    } finally {
      release();
    }
  }

  async #add(session: LiveSession, cause: 'wake' | 'takeover' | 'migration'): Promise<void> {
    // The lease ran out meanwhile, and what was live then has been claimed again already.
    while (session.owner !== this.#ownerId())
      if (!(await this.#registry.claimAgain(session))) return session.leave('fenced');
    this.#registry.add(session, 'restored', cause);
    if (this.stopped === undefined) return;
    await this.#registry.release(session, 'released');
    throw this.stopped();
  }

  /** `undefined`: somebody else has claimed it since. */
  async #rebuild({ record, markers }: Claimed, caller: Caller): Promise<LiveSession | undefined> {
    const owner = record.owner ?? this.#ownerId();
    const fence = { epoch: record.epoch, owner };
    const open = await this.#store.events.open(record.id);
    // The markers came with the claim: of streams that a later owner has opened they say nothing.
    const isLater = ({ stream }: OpenStreamInfo): boolean =>
      stream !== GET_STREAM && postStreamEpoch(stream) > record.epoch;
    if (open.some(isLater) && !(await this.#isStill(record.id, fence))) return undefined;
    const get = open.find(({ stream }) => stream === GET_STREAM);
    let session: LiveSession | undefined;
    try {
      session = await this.#builder.connect(
        {
          id: record.id,
          epoch: record.epoch,
          owner,
          user: record.user ?? undefined,
          handshake: record.handshake,
          createdAt: record.createdAt,
          // The log knows better than the record whether a GET was ever primed: that is saved after it.
          record: get === undefined ? record : { ...record, getStream: true },
          getNext: get?.next ?? 0,
        },
        caller,
        true,
      );
      const { version, answerJson } = await this.#builder.replay(session, record, caller);
      if (version !== record.version) {
        this.#options.logger.warn(
          { sessionId: record.id, negotiated: record.version, answered: version },
          'The rebuilt server no longer speaks the negotiated protocol version; the session ends',
        );
        await session.leave('server_closed');
        await this.#registry.endRecord(record.id, fence, 'server_closed');
        throw sessionNotFound();
      }
      session.news.answered(answerJson);
      session.news.missed(this.#news.since(record.activeAt));
      await takeOrphans(session, open, markers, caller);
      return session;
    } catch (cause) {
      if (cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND') throw cause;
      this.#options.logger.error(
        { err: cause, sessionId: record.id },
        'A session could not be restored here; it is kept',
      );
      await session?.giveUp('released', cause);
      await this.#store.sessions.release(record.id, fence);
      throw orHookTimeout(cause, restoreFailed);
    }
  }

  async #isStill(id: string, { epoch, owner }: Fence): Promise<boolean> {
    const record = await this.#store.sessions.read(id);
    return record !== undefined && !isEnded(record) && record.epoch === epoch && record.owner === owner;
  }

  /** A session of another deployment becomes one of ours, bound to the user who brings it; `undefined`: somebody was faster. */
  async adopt(id: string, params: InitializeRequestParams, caller: Caller): Promise<LiveSession | undefined> {
    const now = this.#options.timeProvider.now();
    let session: LiveSession | undefined;
    try {
      session = await this.#builder.connect(
        {
          id,
          epoch: 1,
          owner: this.#ownerId(),
          user: caller.user,
          handshake: handshakeOf(params),
          createdAt: now,
        },
        caller,
        true,
      );
      session.record.initialized = true;
      const { version, answerJson } = await this.#builder.replay(
        session,
        session.record.toRecord(session.handshake),
        caller,
      );
      session.negotiated(version, answerJson);
    } catch (cause) {
      this.#options.logger.error({ err: cause, sessionId: id }, 'A migrated session could not be rebuilt here');
      await session?.giveUp('released', cause);
      throw orHookTimeout(cause, restoreFailed);
    }
    let outcome;
    try {
      outcome = await this.#store.sessions.create(session.record.toRecord(session.handshake));
    } catch (cause) {
      await session.leave('released');
      throw cause;
    }
    if (outcome === 'exists') {
      await session.leave('fenced');
      return undefined;
    }
    session.record.exists = true;
    await this.#add(session, 'migration');
    return session;
  }
}
