/** The event log: one row per append, filtered by retention when it is read, deleted some time later. */
import type { EventRetention, Logger } from '../../types.ts';
import { JoinedAppend } from '../shared/joined-append.ts';
import { unpackEvents } from '../shared/packed-events.ts';
import { replayOutcome, type StoredAppend } from '../shared/replay-outcome.ts';
import { TrimChance } from '../shared/trim-chance.ts';
import type { AppendRequest, Kind, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { InstanceStatements } from './instance-statements.ts';
import type { LogStatements } from './log-statements.ts';
import type { Row, Statement, Value } from './pg.ts';
import type { PostgresReader } from './reader.ts';
import type { PostgresWriter } from './writer.ts';

/** Rows that the sweep deletes in one statement: it takes some ms and delays no request. */
const TRIM_BATCH = 1_000;

export interface PostgresLogOptions {
  readonly space: string;
  readonly kind: Kind;
  readonly reader: Pick<PostgresReader, 'query'>;
  readonly writer: PostgresWriter;
  readonly statements: LogStatements & InstanceStatements;
  readonly logger: Logger;
}

export class PostgresLog {
  readonly #options: PostgresLogOptions;
  readonly #trimChance = new TrimChance();
  /** Whether a check of a record's log is running. */
  #trimming = false;

  constructor(options: PostgresLogOptions) {
    this.#options = options;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { space, writer, kind } = this.#options;
    const retention = kind.log;
    const append = JoinedAppend.of(request, retention !== false);
    if (append.from < 0) return Promise.resolve('fenced');
    const outcome = writer.write(space, append);
    if (retention === false || !this.#trimChance.isDue(append.events.length, append.bytes, retention)) return outcome;
    return outcome.finally(() => this.#trimRecord(request.id, retention));
  }

  async replay(id: string, stream: string, after: number): Promise<ReplayOutcome> {
    const { space, reader, statements, kind } = this.#options;
    const retention = kind.log;
    if (retention === false) return { found: false, why: 'unknown' };
    const { rows } = await reader.query(statements.replay, [space, id, stream, retention.ttlMs]);
    const [first] = rows;
    if (first === undefined) return { found: false, why: 'unknown' };
    const openNext = first[0] === null ? undefined : Number(first[0]);
    return replayOutcome(rows.toReversed().flatMap(storedAppend), retention, openNext, after);
  }

  /** Trims the logs of this kind, and tombstones and undeliverable messages of all deployments. */
  async trim(): Promise<void> {
    const { space, statements, kind } = this.#options;
    if (kind.log !== false) await this.#all(statements.trimEvents, [space, kind.log.ttlMs, TRIM_BATCH]);
    if (!kind.listed) await this.#all(statements.trimExpired, [space, kind.keepMs, TRIM_BATCH]);
    await this.#all(statements.trimEnded, [TRIM_BATCH]);
    await this.#all(statements.trimMessages, [TRIM_BATCH]);
  }

  /** Repeats the statement while it deletes full batches. */
  async #all(statement: Statement, values: readonly Value[]): Promise<void> {
    for (;;) {
      const { rowCount } = await this.#options.reader.query(statement, values);
      if ((rowCount ?? 0) < TRIM_BATCH) return;
    }
  }

  #trimRecord(id: string, { events, bytes }: EventRetention): void {
    if (this.#trimming) return;
    this.#trimming = true;
    const { space, reader, statements, logger } = this.#options;
    reader
      .query(statements.trimRecord, [space, id, events, bytes])
      .catch((err: unknown) => logger.debug({ err, sessionId: id }, 'The log of a session could not be trimmed'))
      .finally(() => (this.#trimming = false));
  }
}

/** One row is one append. A stream without rows has one answer without data. */
function storedAppend([, position, n, young, later, laterBytes, data]: Row): readonly StoredAppend[] {
  if (position === null || data === null) return [];
  return [
    {
      from: Number(position),
      young: young === 't',
      later: Number(later),
      laterBytes: Number(laterBytes),
      events: unpackEvents(data ?? '', Number(n)),
    },
  ];
}
