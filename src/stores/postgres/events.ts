/** The event log: one row per append, filtered by retention when it is read, deleted some time later. */
import type { EventRetention, Logger } from '../../types.ts';
import type { AppendRequest, EventStore, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import { Append } from './append.ts';
import { keptEvents, type ReplayRow } from './event-rows.ts';
import type { InstanceStatements } from './instance-statements.ts';
import type { LogStatements } from './log-statements.ts';
import type { Row, Statement, Value } from './pg.ts';
import type { Reader } from './reader.ts';
import type { Writer } from './writer.ts';

/**
 * Checking whether a session holds more than it keeps reads its whole log. So each append checks with a probability:
 * its share of what is kept, at most this value. On average a check comes once in as many events as are kept, so its
 * cost per event is a small constant for any retention. Until then the table holds up to twice what is kept, on
 * average.
 */
const MAX_TRIM_PROBABILITY = 1 / 16;
/** Rows that the sweep deletes in one statement: it takes some ms and delays no request. */
const TRIM_BATCH = 1_000;
/** A dead id is remembered at least this long. */
const DEAD_KEPT_MS = 86_400_000;

export interface EventsOptions {
  readonly deployment: string;
  readonly reader: Pick<Reader, 'query'>;
  readonly writer: Writer;
  readonly statements: LogStatements & InstanceStatements;
  readonly retention: EventRetention | false;
  readonly logger: Logger;
}

export class PostgresEvents implements EventStore {
  readonly #options: EventsOptions;
  #appended = 0;
  /** Whether a check of a session's log is running. */
  #trimming = false;

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { deployment, writer, retention } = this.#options;
    if (request.from < 0) return Promise.resolve('fenced');
    const append = Append.of(request, retention !== false);
    const outcome = writer.append(deployment, append);
    if (retention === false || !this.#isTimeToTrim(append, retention)) return outcome;
    return outcome.finally(() => this.#trimSession(request.sessionId, retention));
  }

  async replay(sessionId: string, stream: string, after: number): Promise<ReplayOutcome> {
    const { deployment, reader, statements, retention } = this.#options;
    if (retention === false) return { found: false, why: 'unknown' };
    const { rows } = await reader.query(statements.replay, [deployment, sessionId, stream, retention.ttlMs]);
    const [first] = rows;
    if (first === undefined) return { found: false, why: 'unknown' };
    const openNext = first[0] === null ? undefined : Number(first[0]);
    const kept = keptEvents(rows.flatMap(replayRow), retention);
    const oldest = kept[0]?.offset;
    if (oldest === undefined && openNext === undefined) return { found: false, why: 'unknown' };
    const next = openNext ?? (kept.at(-1)?.offset ?? 0) + 1;
    if ((oldest ?? next) > after + 1) return { found: false, why: 'gap', first: oldest ?? next };
    return { found: true, events: kept.filter(({ offset }) => offset > after), next, complete: openNext === undefined };
  }

  async open(sessionId: string): Promise<readonly OpenStreamInfo[]> {
    const { deployment, reader, statements } = this.#options;
    const { rows } = await reader.query(statements.open, [deployment, sessionId]);
    return rows.map(([stream, next, requests]) => ({
      stream: stream ?? '',
      next: Number(next),
      requests: requests ?? null,
    }));
  }

  /** Trims the logs of this deployment, and tombstones, dead ids and undeliverable messages of all deployments. */
  async trim(): Promise<void> {
    const { deployment, reader, statements, retention } = this.#options;
    if (retention !== false) await this.#all(statements.trimEvents, [deployment, retention.ttlMs, TRIM_BATCH]);
    await this.#all(statements.trimEnded, [TRIM_BATCH]);
    await this.#all(statements.trimMessages, [TRIM_BATCH]);
    await reader.query(statements.forgetSecrets, []);
    await reader.query(statements.forgetInstances, [DEAD_KEPT_MS]);
  }

  /** Repeats the statement while it deletes full batches. */
  async #all(statement: Statement, values: readonly Value[]): Promise<void> {
    for (;;) {
      const { rowCount } = await this.#options.reader.query(statement, values);
      if ((rowCount ?? 0) < TRIM_BATCH) return;
    }
  }

  #isTimeToTrim({ events, bytes }: Append, retention: EventRetention): boolean {
    const part = Math.max(Math.min(events.length / retention.events, MAX_TRIM_PROBABILITY), bytes / retention.bytes);
    return spread(++this.#appended) < part;
  }

  #trimSession(sessionId: string, { events, bytes }: EventRetention): void {
    if (this.#trimming) return;
    this.#trimming = true;
    const { deployment, reader, statements, logger } = this.#options;
    reader
      .query(statements.trimSession, [deployment, sessionId, events, bytes])
      .catch((err: unknown) => logger.debug({ err, sessionId }, 'The log of a session could not be trimmed'))
      .finally(() => (this.#trimming = false));
  }
}

function replayRow([, position, n, young, later, laterBytes, data]: Row): readonly ReplayRow[] {
  if (position === null || data === null) return [];
  return [
    {
      position: Number(position),
      n: Number(n),
      young: young === 't',
      later: Number(later),
      laterBytes: Number(laterBytes),
      data: data ?? '',
    },
  ];
}

/** Maps each number in turn evenly to 0..1, so that no session is skipped forever when several write in turns. */
const spread = (no: number): number => (Math.imul(no, 0x9e3779b1) >>> 0) / 2 ** 32;
