/** The sessions of the deployment, as the page lists them, and the exact values of sessions that are live here. */
import type { LiveSession } from '../../session/session.ts';
import { bytesOf, summary } from '../../session/record/session-summary.ts';
import { keptText, sessionHash, userName } from '../../base/shown.ts';
import type { Records, StoredRecord } from '../../stores/store.ts';
import type { SessionPage, SessionRow } from '../wire-pages.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import { StoredRows } from './stored-rows.ts';

/** With what the index has of it, a session takes at most 300 bytes. */
const BOUNDS = { part: 1_000, most: 20_000, bytes: 290 };

export class SessionRows extends StoredRows {
  protected readonly purpose = 'cursors of the dashboard';

  constructor(parts: DashboardParts) {
    super(parts, BOUNDS);
  }

  protected get records(): Records {
    return this.parts.store.sessions;
  }

  protected knownId(hash: string): string | undefined {
    for (const { id } of this.parts.registry.values()) if (sessionHash(id) === hash) return id;
    return undefined;
  }

  protected async pageOf(records: readonly StoredRecord[], nextCursor: string | undefined): Promise<SessionPage> {
    const at = this.parts.options.timeProvider.now();
    const alive = await this.parts.instance.living();
    const sessions = records.map((record) => this.#row(record, alive));
    return { at, sessions, ...(nextCursor !== undefined && { nextCursor }) };
  }

  #row(record: StoredRecord, alive: ReadonlySet<string>): SessionRow {
    const { id, user: _, hash, userName: user, clientInfo, ...rest } = summary(record, alive);
    const session = this.parts.registry.get(id);
    const { name, version } = clientInfo;
    return {
      hash,
      ...rest,
      ...(user !== undefined && { userName: keptText(user) }),
      clientInfo: { name: keptText(name), version: keptText(version) },
      bytes: bytesOf(record).record,
      ...(session !== undefined && {
        ...this.#activity(session),
        calls: session.calls.running.opened,
        getStream: session.hasGetSink,
        posts: session.calls.running.size,
      }),
    };
  }

  /** The row of a session that is live here. */
  live(id: string): SessionRow | undefined {
    const session = this.parts.registry.get(id);
    return session && this.liveRow(session);
  }

  liveSessions(): Iterable<LiveSession> {
    return this.parts.registry.values();
  }

  liveRow(session: LiveSession): SessionRow {
    const { id, user, handshake, version, createdAt, calls } = session;
    const { name, version: build } = handshake.clientInfo;
    return {
      hash: sessionHash(id),
      status: 'live',
      owner: this.parts.instance.lease.id,
      ...(user !== undefined && { userName: keptText(userName(user)) }),
      clientInfo: { name: keptText(name), version: keptText(build) },
      protocolVersion: version,
      createdAt,
      ...this.#activity(session),
      calls: calls.running.opened,
      getStream: session.hasGetSink,
      posts: calls.running.size,
    };
  }

  #activity(session: LiveSession): { readonly activeAt: number; readonly exact: true } {
    const { timeProvider: time } = this.parts.options;
    const idleMs = session.idle ? time.monotonic() - session.idleEntry.since : 0;
    return { activeAt: Math.round(time.now() - idleMs), exact: true };
  }
}
