/** The statements about logs and marks. */
import type { Statement } from './pg.ts';
import { LIVING, lockedInOrder, NOT_ENDED, NOW, NOW_ONCE, statementOf, WAKES_AT } from './record-statements.ts';

export type LogStatements = ReturnType<typeof logStatements>;

/** What the appends of one statement contain. A part that no append needs is left out, which saves some 10 µs. */
export interface AppendParts {
  /** At least one append leaves its stream open. */
  readonly opens: boolean;
  readonly completes: boolean;
  readonly marks: boolean;
  readonly unmarks: boolean;
}

/** `s`: the schema, quoted. */
export function logStatements(s: string) {
  const appends = new Map<string, Statement>();
  return {
    append(parts: AppendParts): Statement {
      const key = JSON.stringify(parts);
      const known = appends.get(key) ?? statementOf(appendText(s, parts));
      appends.set(key, known);
      return known;
    },
    /**
     * $3 stream. One row for each append to it, with the number and bytes of the events that came later in the record;
     * or one row without an append. Events older than the stream are not counted.
     */
    replay:
      statementOf(`SELECT o.next, e.position, e.n, e.at + $4::double precision > ${NOW}, e.later, e.later_bytes, d.data
      FROM ${s}.records s LEFT JOIN ${s}.streams o ON o.record = s.no AND o.stream = $3
      LEFT JOIN LATERAL (
        SELECT * FROM (
          SELECT l.stream, l.position, l.n, l.at, sum(l.n) OVER newer - l.n AS later,
            sum(l.bytes) OVER newer - l.bytes AS later_bytes
          FROM ${s}.events l WHERE l.record = s.no
            AND l.no >= (SELECT min(f.no) FROM ${s}.events f WHERE f.record = s.no AND f.stream = $3)
          WINDOW newer AS (ORDER BY l.no DESC ROWS UNBOUNDED PRECEDING)) AS log
        WHERE log.stream = $3) AS e ON true
      LEFT JOIN ${s}.events d ON d.record = s.no AND d.stream = e.stream AND d.position = e.position
      WHERE s.space = $1 AND s.id = $2 AND ${LIVING} ORDER BY e.position`),
    /** What a record holds beyond $3 events or $4 bytes. */
    trimRecord: statementOf(`DELETE FROM ${s}.events e USING (
        SELECT l.stream, l.position, l.record, sum(l.n) OVER newer - l.n AS later,
          sum(l.bytes) OVER newer - l.bytes AS later_bytes
        FROM ${s}.events l JOIN ${s}.records s ON s.no = l.record WHERE s.space = $1 AND s.id = $2
        WINDOW newer AS (ORDER BY l.no DESC ROWS UNBOUNDED PRECEDING)) AS log
      WHERE e.record = log.record AND e.stream = log.stream AND e.position = log.position
        AND (log.later >= $3::bigint OR log.later_bytes > $4::bigint)`),

    // The sweep: a limited number of rows, and none that another sweep is deleting.
    /** $2 ms that events are kept, $3 rows. */
    trimEvents: statementOf(`DELETE FROM ${s}.events WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM ${s}.events WHERE space = $1 AND at <= ${NOW_ONCE} - $2::double precision
      ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED))`),
    /** $2 ms since the expiry, $3 rows. */
    trimExpired: statementOf(`DELETE FROM ${s}.records WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM ${s}.records WHERE space = $1 AND ${NOT_ENDED} AND ${WAKES_AT} <= ${NOW_ONCE}
        AND expires_at <= ${NOW_ONCE} - $2::double precision
      ORDER BY ${WAKES_AT} LIMIT $3 FOR UPDATE SKIP LOCKED))`),
    trimEnded: statementOf(`DELETE FROM ${s}.records WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM ${s}.records WHERE ended_at IS NOT NULL AND forget_at <= ${NOW_ONCE}
      ORDER BY forget_at LIMIT $1 FOR UPDATE SKIP LOCKED))`),
  };
}

/**
 * Appends and marks of different streams (`append.ts`). $1 space, then an array for each column of `given`.
 * Answers the numbers of the written ones.
 *
 * The statement locks the record's row as an update does, and checks the fence after it has the lock. So an append
 * that comes while a claim is being stored waits for it and is refused; a plain condition would check the row's old
 * version. From other tables the statement sees the state at its start. That is enough: only the owner writes there,
 * and its writes wait for each other.
 */
function appendText(s: string, { opens, completes, marks, unmarks }: AppendParts): string {
  const opening = `opened AS (
    INSERT INTO ${s}.streams (record, stream, next, note, mark)
    SELECT no, stream, n, note, CASE WHEN mark_stream = stream THEN marked END FROM placed
    WHERE stream IS NOT NULL AND NOT complete AND next IS NULL
  ), grown AS (
    UPDATE ${s}.streams o SET next = p.start + p.n, note = coalesce(o.note, p.note),
      mark = CASE WHEN o.mark = p.unmark AND p.unmark_stream = o.stream THEN NULL ELSE o.mark END
    FROM placed p WHERE o.record = p.no AND o.stream = p.stream AND NOT p.complete AND p.next IS NOT NULL
  )`;
  const completing = `completed AS (
    DELETE FROM ${s}.streams o USING placed p
    WHERE o.record = p.no AND o.stream = p.stream AND p.complete AND p.next IS NOT NULL
  ), moved AS (
    INSERT INTO ${s}.marks (record, name, stream) SELECT p.no, p.kept, p.stream FROM placed p
    WHERE p.complete AND p.kept IS NOT NULL AND (p.unmark IS NULL OR p.kept <> p.unmark OR p.unmark_stream <> p.stream)
  )`;
  const marking = `marked AS (
    INSERT INTO ${s}.marks (record, name, stream) SELECT p.no, p.marked, p.mark_stream FROM placed p
    WHERE p.marked IS NOT NULL AND (p.stream IS NULL OR p.complete OR p.next IS NOT NULL OR p.mark_stream <> p.stream)
      AND NOT EXISTS (SELECT FROM ${s}.marks m
        WHERE m.record = p.no AND m.name = p.marked AND m.stream = p.mark_stream)
  )`;
  const unmarking = `unmarked AS (
    DELETE FROM ${s}.marks m USING placed p
    WHERE m.record = p.no AND m.name = p.unmark AND m.stream = p.unmark_stream
  ), let_go AS (
    UPDATE ${s}.streams o SET mark = NULL FROM placed p
    WHERE p.unmark_stream IS DISTINCT FROM p.stream AND o.record = p.no AND o.stream = p.unmark_stream
      AND o.mark = p.unmark
  )`;
  const parts = [
    [opens, opening],
    [completes, completing],
    [marks, marking],
    [unmarks, unmarking],
  ] as const;
  const needed = parts.map(([isNeeded, part]) => (isNeeded ? `, ${part}` : '')).join('');
  return `WITH given AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
        $9::text[], $10::boolean[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]) WITH ORDINALITY
      AS g (id, epoch, owner, stream, start, n, bytes, data, complete, note, mark, mark_stream,
        unmark, unmark_stream, ord)
  ), held AS MATERIALIZED (
    SELECT locked.* FROM ${lockedInOrder(s, 'given', 's.no, s.id, s.epoch, s.owner', LIVING)}
  ), found AS MATERIALIZED (
    SELECT g.*, held.no,
      CASE WHEN g.mark = g.unmark AND g.mark_stream = g.unmark_stream THEN NULL ELSE g.mark END AS marked,
      (SELECT o.next FROM ${s}.streams o WHERE o.record = held.no AND o.stream = g.stream) AS next,
      (SELECT o.mark FROM ${s}.streams o WHERE o.record = held.no AND o.stream = g.stream) AS kept
    FROM given g JOIN held ON held.id = g.id AND held.epoch = g.epoch AND held.owner = g.owner
  ), placed AS MATERIALIZED (
    SELECT * FROM found f WHERE f.stream IS NULL OR CASE WHEN f.next IS NULL
      THEN f.start = 0 AND NOT EXISTS (SELECT FROM ${s}.events e WHERE e.record = f.no AND e.stream = f.stream)
      ELSE f.start = f.next END
  ), logged AS (
    INSERT INTO ${s}.events (space, record, stream, position, n, bytes, at, data)
    SELECT $1, no, stream, start, n, bytes, ${NOW}, data FROM placed WHERE n > 0 ORDER BY ord
  )${needed} SELECT ord FROM placed`;
}
