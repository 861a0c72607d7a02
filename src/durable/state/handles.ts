/**
 * The handles of an endpoint. The id of a record is `<group>.<digest>`, of its user and of the handle. So a handle names
 * nothing in the hands of another user, whatever a caller passes, and who reads the store of anonymous callers learns no
 * handle. The body keeps that of a user, who may list them.
 */
import { storedShare } from '../../base/budget.ts';
import { digestText } from '../../base/digest.ts';
import { pagesOf } from '../../base/pages.ts';
import { base64url, every } from '../../base/system.ts';
import {
  handleKindInvalid,
  handleNotFound,
  stateTooLarge,
  storeUnavailable,
  tooManyHandles,
} from '../../base/errors.ts';
import { currentCall } from '../../session/calls/call.ts';
import { groupOf, keepUnlessForgotten } from '../../session/record/forgotten-users.ts';
import { readText, storedText } from '../records/stored-text.ts';
import { NearCount } from '../../stores/quota/near-count.ts';
import {
  isEnded,
  type NewRecord,
  type Ownership,
  RECORD_VERSION,
  type Records,
  type StoredRecord,
  UNOWNED,
} from '../../stores/store.ts';
import type { StateCaller } from '../../session/calls/call-services.ts';
import type { Fields } from '../../stores/shared/record-change.ts';
import type { Handle, HandleInfo, UserHandle } from '../../base/types.ts';
import { reached, SharedState } from './shared-state.ts';
import {
  bytesOfFields,
  type StateParts,
  type StateAddress,
  type StatesGiven,
} from './state-change.ts';
import { firstHead, readHead } from './state-head.ts';

const SECRET_BYTES = 16;
const DIGEST_LENGTH = 22;
const KIND = /^[a-z][a-z0-9]{0,15}$/;
const HANDLE = /^([a-z][a-z0-9]{0,15})_[\w-]{22}$/;
/** A handle that is opened in the second half of its time lasts as long as at first. */
const HALF = 2;
/** So often a handle in use is looked at within the time that it lasts. */
const RENEWALS = 4;
/** Each may have `limits.stateBytes`. */
const PAGE = 16;
const TRIES = 64;

/** A handle in the hands of a caller. `record`: the id of its record. */
export interface HandleOfCaller {
  readonly kind: string;
  readonly id: string;
  readonly caller: StateCaller;
  readonly record: string;
}

interface NewHandle {
  readonly kind: string;
  readonly caller: StateCaller;
  readonly lastsMs: number;
  readonly fields: Fields;
  readonly owner: string | null;
}

interface HandleBody {
  readonly kind: string;
  /** `undefined`: it has no user. */
  readonly id?: string;
}

export class Handles {
  readonly #given: StatesGiven;
  readonly #parts: StateParts;
  readonly #anonymous = new NearCount();
  /** A handle was ended here. `owner`: the instance that has its object. */
  onEnd: ((hash: string, owner: string | null) => void) | undefined = undefined;

  constructor(given: StatesGiven, parts: StateParts) {
    this.#given = given;
    this.#parts = parts;
  }

  get #records(): Records {
    return this.#given.store.handles;
  }

  /** Throws `TOO_MANY_HANDLES`, `STATE_TOO_LARGE` and `USER_FORGOTTEN`. */
  async make(kind: string, caller: StateCaller, lastsMs: number, fields: Fields): Promise<Handle> {
    const handle = await this.create({ kind, caller, lastsMs, fields, owner: null });
    this.#lastsWithCall(handle, lastsMs);
    return this.handle(handle, true);
  }

  /** `owner`: the instance that is to have its object; `null`: none. Throws as `make` does. */
  async create({ kind, caller, lastsMs, fields, owner }: NewHandle): Promise<HandleOfCaller> {
    checkKind(kind);
    const bytes = bytesOfFields(fields);
    const { stateBytes, time } = this.#parts;
    if (bytes > stateBytes) throw stateTooLarge(bytes, stateBytes, kind);
    const { user, share } = caller;
    const id = `${kind}_${base64url(this.#given.random(SECRET_BYTES))}`;
    const body = storedText({ kind, ...(user !== undefined && { id }) } satisfies HandleBody);
    const whose = { ...UNOWNED, owner, user: user ?? null, share: storedShare(share) };
    const createdAt = time.now();
    const head = firstHead(lastsMs, this.#parts.author(), owner === null ? 0 : createdAt);
    const record = {
      v: RECORD_VERSION,
      id: recordId(user, id),
      ...whose,
      head,
      body,
      fields,
      stamp: 1,
      createdAt,
    };
    const create = async () => {
      await this.#refusePastLimit(kind, caller);
      await this.#records.create(record, lastsMs);
      if (user === undefined) this.#anonymous.take(1);
    };
    // One at a time of a user, so that calls at once do not pass the limit together.
    const parts = { time, maxWaitMs: this.#parts.maxWaitMs };
    if (user === undefined) await reached(parts, kind, create);
    else {
      await this.#parts.turns.steps(groupOf(user), async () => {
        await reached(parts, kind, create);
        await this.#keepWithinLimit(kind, user, record);
      });
      const { store } = this.#given;
      await reached(parts, kind, () => keepUnlessForgotten(store, this.#records, record));
    }
    return { kind, id, caller, record: record.id };
  }

  /** Throws `HANDLE_NOT_FOUND`. */
  async open(kind: string, id: string, caller: StateCaller): Promise<Handle> {
    const handle = this.named(kind, id, caller);
    this.#lastsWithCall(handle, readHead(await this.read(handle)).lastsMs);
    return this.handle(handle, false);
  }

  /** It does not expire while the call uses it that runs now. */
  #lastsWithCall(handle: HandleOfCaller, lastsMs: number): void {
    const call = currentCall.getStore();
    const renew = (): void => void this.read(handle).catch(() => {});
    call?.holds({ release: every(this.#parts.time, lastsMs / RENEWALS, renew) });
  }

  /** Throws `HANDLE_NOT_FOUND` for what names nothing of this kind. */
  named(kind: string, id: unknown, caller: StateCaller): HandleOfCaller {
    const record = this.recordNamed(kind, id, caller);
    if (record === undefined) throw handleNotFound(kind, id);
    return { kind, id: String(id), caller, record };
  }

  /** `undefined`: it names nothing of this kind. */
  recordNamed(kind: string, id: unknown, { user }: StateCaller): string | undefined {
    return typeof id === 'string' && HANDLE.exec(id)?.[1] === kind ? recordId(user, id) : undefined;
  }

  /** The stored record, which lasts on. Throws `HANDLE_NOT_FOUND`. */
  read({ kind, id, record }: HandleOfCaller): Promise<StoredRecord> {
    return reached(this.#parts, kind, async () => {
      const stored = await this.#records.read(record);
      if (stored === undefined || isEnded(stored)) throw handleNotFound(kind, id);
      const { lastsMs } = readHead(stored);
      if ((stored.expiresAt ?? Infinity) - this.#parts.time.now() < lastsMs / HALF)
        await this.#records.save(record, stored, { expiresInMs: lastsMs });
      return stored;
    });
  }

  /** `refuses`: as in a `StateAddress`. */
  handle(
    { kind, id, caller, record }: HandleOfCaller,
    created: boolean,
    refuses?: StateAddress['refuses'],
  ): Handle {
    const address: StateAddress = {
      records: this.#records,
      id: record,
      name: kind,
      share: caller.share,
      absent: () => {
        throw handleNotFound(kind, id);
      },
      isUsedOnce: true,
      ...(refuses && { refuses }),
    };
    const state = new SharedState(this.#parts, address);
    return { id, kind, created, state, end: () => this.end(record) };
  }

  async #refusePastLimit(kind: string, { user, share }: StateCaller): Promise<void> {
    const { limits, perUser } = this.#given.options;
    const { anonymousHandles: anonymous, userShare } = limits;
    const records = this.#records;
    if (user !== undefined) {
      if ((await records.count(groupOf(user))) < perUser.handles) return;
      throw tooManyHandles(kind, perUser.handles, true);
    }
    const now = this.#parts.time.monotonic();
    const all = this.#anonymous;
    if (all.isOld(now)) await all.read(now, () => records.count(groupOf(undefined)));
    if (all.value >= anonymous) throw tooManyHandles(kind, anonymous, false);
    // One address cannot take the places of all others.
    if (all.value < anonymous * userShare) return;
    const own = await records.countOf(storedShare(share));
    const most = Math.ceil((anonymous - all.value + own) * userShare);
    if (own >= most) throw tooManyHandles(kind, most, false);
  }

  /**
   * Other instances may have made handles of this user since the number was read. So it is read again, and the new
   * handle ends where it is one too many: of two that take the last place at once, both may be refused.
   */
  async #keepWithinLimit(kind: string, user: string, record: NewRecord): Promise<void> {
    const { handles } = this.#given.options.perUser;
    let isPast = false;
    await reached(this.#parts, kind, async () => {
      isPast ||= (await this.#records.count(groupOf(user))) > handles;
      if (!isPast) return;
      await this.#records.end(record.id, record, '', 0);
      throw tooManyHandles(kind, handles, true);
    });
  }

  /** `hash`: the id of the record. `false`: there is none. */
  async end(hash: string): Promise<boolean> {
    return (await this.endOwned(hash)) !== undefined;
  }

  /** The instance that had its object; `null`: none had. `undefined`: there is no such handle. */
  endOwned(hash: string): Promise<string | null | undefined> {
    return this.#reached(async () => {
      let seen: Ownership = UNOWNED;
      for (let tries = 0; tries < TRIES; tries++) {
        const outcome = await this.#records.end(hash, seen, '', 0);
        if (outcome === 'ended') this.onEnd?.(hash, seen.owner);
        if (outcome !== 'fenced') return outcome === 'ended' ? seen.owner : undefined;
        const found = await this.#records.read(hash);
        if (found === undefined || isEnded(found)) return undefined;
        seen = found;
      }
      throw storeUnavailable('the owner of a handle changes all the time');
    });
  }

  async get(hash: string): Promise<HandleInfo | undefined> {
    const found = await this.#reached(() => this.#records.read(hash));
    return found === undefined || isEnded(found) ? undefined : infoOf(found);
  }

  count(user?: string): Promise<number> {
    return this.#reached(() => this.#records.count(user === undefined ? undefined : groupOf(user)));
  }

  /** Those of a user, or all. */
  async list(limit: number, cursor?: string, user?: string): Promise<HandlePage> {
    const handles: HandleInfo[] = [];
    let next = cursor;
    do {
      const most = Math.min(PAGE, limit - handles.length);
      const group = user === undefined ? undefined : groupOf(user);
      const page = await this.#reached(() => this.#records.list(most, next, group));
      handles.push(...page.records.map(infoOf));
      next = page.nextCursor;
    } while (next !== undefined && handles.length < limit);
    return { handles, ...(next !== undefined && { nextCursor: next }) };
  }

  /** Those of a user, as a handler lists them: one list of a user at a time, because it may read much. */
  ofUser(user: string, kind?: string): Promise<UserHandle[]> {
    const group = groupOf(user);
    return this.#parts.turns.steps(group, async () => {
      const all: UserHandle[] = [];
      for await (const { records } of pagesOf((cursor) =>
        this.#reached(() => this.#records.list(PAGE, cursor, group)),
      ))
        for (const record of records) {
          const { id, ...of } = bodyOf(record);
          if (id !== undefined && (kind === undefined || of.kind === kind))
            all.push({ id, ...of, ...timesOf(record) });
        }
      return all;
    });
  }

  #reached<T>(work: () => T | Promise<T>): Promise<T> {
    return reached(this.#parts, 'a handle', work);
  }
}

/** Throws a `TypeError`. */
export function checkKind(kind: unknown): void {
  if (typeof kind !== 'string' || !KIND.test(kind)) throw handleKindInvalid(kind);
}

export interface HandlePage {
  readonly handles: readonly HandleInfo[];
  readonly nextCursor?: string;
}

const recordId = (user: string | undefined, handle: string): string =>
  `${groupOf(user)}.${digestText(handle).slice(0, DIGEST_LENGTH)}`;

const bodyOf = ({ body }: StoredRecord): HandleBody =>
  (readText(body)?.line ?? { kind: '?' }) as HandleBody;

const timesOf = ({ createdAt, expiresAt, fields }: StoredRecord) => ({
  createdAt,
  expiresAt: expiresAt ?? Infinity,
  bytes: bytesOfFields(fields),
});

export const infoOf = (record: StoredRecord): HandleInfo => ({
  hash: record.id,
  kind: bodyOf(record).kind,
  userKey: record.user ?? undefined,
  ...timesOf(record),
});

/** Where its object is open, and since when; `undefined`: nowhere. `alive`: the instances that have a lease. */
export function objectOf(record: StoredRecord, alive: ReadonlySet<string>) {
  const { owner } = record;
  if (owner === null || !alive.has(owner)) return undefined;
  return { instance: owner, openedAt: readHead(record).openedAt };
}
