/**
 * The statements about records, one set per schema. Comments explain the numbers of parameters that are not obvious.
 *
 * All statements are written for READ COMMITTED. A statement that waited for a row sees the new version of that row,
 * but the state at its start of everything else. So the next statement reads what follows from a row. The death of a
 * lease and the expiry of a record are stored before any caller acts on them.
 */
import { digestText } from '../../base/digest.ts';
import { RECORD_VERSION } from '../store.ts';
import type { Statement } from './pg.ts';

/** The store's clock, ms since 1970: the current time, not the start of the transaction. */
export const NOW = "floor(date_part('epoch', clock_timestamp()) * 1000)";

/** The same, evaluated once per statement: a clock that changes per row cannot bound an index scan. */
export const NOW_ONCE = `(SELECT ${NOW})`;

export const LIVING = `ended_at IS NULL AND NOT expired AND (expires_at IS NULL OR expires_at > ${NOW})`;
/** For scans of many rows, in the form of the index `records_living`. */
export const NOT_ENDED = 'coalesce(ended_at, 0) = 0';
/** The earlier of expiry and due time, as in that index. */
export const WAKES_AT = 'least(expires_at, due_at)';
/** $1 space, $2 id, $3 epoch, $4 owner. */
const FENCED = `space = $1 AND id = $2 AND epoch = $3 AND owner = $4 AND ${LIVING}`;

export const statementOf = (text: string): Statement => ({
  name: `sojourn_${digestText(text).slice(0, 22)}`,
  text,
});

/**
 * Locks the rows of all `ids` of $1 one by one, in the order of the ids, so that two of these statements never
 * deadlock. Each id is looked up by its full key: a range scan in that order might read all rows of a space.
 */
export const lockedInOrder = (s: string, ids: string, columns: string, condition = 'true'): string => `(
    SELECT DISTINCT id COLLATE "C" AS id FROM ${ids} ORDER BY 1) AS wanted CROSS JOIN LATERAL (
    SELECT ${columns} FROM ${s}.records s WHERE s.space = $1 AND s.id = wanted.id AND ${condition}
    FOR NO KEY UPDATE) AS locked`;

export type RecordStatements = ReturnType<typeof recordStatements>;

/** The columns that a save may set, in the order in which they are bound. Times are bound as ms from now. */
export const SAVED_COLUMNS = ['head', 'stamp', 'expires_at', 'due_at'] as const;

export type SavedColumn = (typeof SAVED_COLUMNS)[number];

/** What a save does besides setting columns. */
export interface SaveParts {
  readonly columns: readonly SavedColumn[];
  readonly release: boolean;
  readonly fields: boolean;
}

/** `s`: the schema, quoted. */
export function recordStatements(s: string) {
  const fields = `(SELECT json_object_agg(name, value)::text FROM ${s}.fields WHERE record = s.no)`;
  /** The columns of `RecordRow`. */
  const record = `s.id, s.v, s.epoch, s.owner, s."user", s.head, b.body, ${fields}, s.created_at, s.stamp, s.expires_at,
    s.due_at, s.rung, s.outcome, s.ended_at, coalesce(s.expired OR s.expires_at <= ${NOW}, false), s.expired`;
  const withBody = `s LEFT JOIN ${s}.bodies b ON b.record = s.no`;
  const records = `${s}.records ${withBody}`;
  const claimed = `${record}, (SELECT json_agg(json_build_array(m.name, m.stream)) FROM (
        SELECT name, stream FROM ${s}.marks WHERE record = s.no
        UNION SELECT mark, stream FROM ${s}.streams WHERE record = s.no AND mark IS NOT NULL) AS m),
        s.expires_at - ${NOW},
        (SELECT json_agg(json_build_array(stream, next, note)) FROM ${s}.streams WHERE record = s.no)`;
  /** `keepMs`: how long an expired record shows as ended. */
  const found = (keepMs: string): string => `CASE WHEN s.ended_at IS NULL
        THEN s.expires_at IS NULL OR s.expires_at + ${keepMs} > ${NOW} ELSE s.forget_at > ${NOW} END`;
  const listed = (ids: string): string => `SELECT ${record} FROM (SELECT * FROM ${s}.records
        WHERE space = $1 AND ${ids} AND ${LIVING} ORDER BY id LIMIT $3) ${withBody}
      ORDER BY s.id`;
  const saves = new Map<string, Statement>();

  return {
    create: statementOf(createText(s)),
    /** $3 how long an expired record shows as ended. */
    record: statementOf(`SELECT ${record} FROM ${records} WHERE s.space = $1 AND s.id = $2 AND ${found('$3')}`),
    /** Stores that a record has expired, before a caller learns it. */
    expire: statementOf(`UPDATE ${s}.records SET expired = true
      WHERE space = $1 AND id = $2 AND ended_at IS NULL AND NOT expired AND expires_at <= ${NOW}`),
    /** $3 epoch and $4 owner before the claim, $5 new owner. */
    claim: statementOf(`UPDATE ${s}.records s SET epoch = epoch + 1, owner = $5
      WHERE space = $1 AND id = $2 AND epoch = $3 AND owner IS NOT DISTINCT FROM $4
        AND v <= ${RECORD_VERSION} AND ${LIVING}`),
    /** The columns of `record`, plus the marks as JSON, the ms until the expiry, and the open streams as JSON. */
    claimed: statementOf(`SELECT ${claimed} FROM ${records} WHERE s.space = $1 AND s.id = $2 AND ${found('$3')}`),
    /**
     * $2 ids, $3 epochs, $4 owners, $5 new owners. The rows are locked, so none changes after it was found. `OFFSET 0`:
     * each id is looked up by its full key, also in tables without statistics.
     */
    claimAll: statementOf(`UPDATE ${s}.records s SET epoch = s.epoch + 1, owner = c.me
      FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) AS c (id, epoch, owner, me)
      CROSS JOIN LATERAL (SELECT l.ctid AS at FROM ${s}.records l
        WHERE l.space = $1 AND l.id = c.id AND l.epoch = c.epoch AND l.owner IS NOT DISTINCT FROM c.owner
          AND v <= ${RECORD_VERSION} AND ${LIVING} OFFSET 0) AS found
      WHERE s.ctid = found.at`),
    /** $2 ids, $3 how long each shows as ended when it has expired. */
    claimedAll: statementOf(`SELECT r.* FROM unnest($2::text[], $3::double precision[]) AS c (id, keep_ms)
      CROSS JOIN LATERAL (SELECT ${claimed} FROM ${records}
        WHERE s.space = $1 AND s.id = c.id AND ${found('c.keep_ms')} OFFSET 0) AS r`),
    /**
     * $3 outcome and how long it is kept, $4; $5 the same of an expired record; $6 epoch, $7 owner, $8 stamp or null.
     */
    end: statementOf(`UPDATE ${s}.records s SET owner = NULL, "user" = NULL, head = '', expires_at = NULL,
        created_at = 0, stamp = 0, due_at = NULL,
        outcome = CASE WHEN ${LIVING} THEN $3 ELSE '' END,
        ended_at = CASE WHEN ${LIVING} THEN ${NOW} ELSE expires_at END,
        forget_at = CASE WHEN ${LIVING} THEN ${NOW} + $4::double precision ELSE expires_at + $5::double precision END
      WHERE space = $1 AND id = $2 AND ended_at IS NULL AND epoch = $6 AND owner IS NOT DISTINCT FROM $7
        AND ($8::double precision IS NULL OR stamp = $8)`),
    living: statementOf(`SELECT FROM ${s}.records WHERE space = $1 AND id = $2 AND ended_at IS NULL`),
    /** $3 when it ended. Its row stays until the next creation or trim. */
    drop: statementOf(`UPDATE ${s}.records SET forget_at = 0
      WHERE space = $1 AND id = $2 AND ended_at = $3 AND forget_at > ${NOW}`),
    /** $2 ids. */
    lockRecords: statementOf(`SELECT FROM ${lockedInOrder(s, 'unnest($2::text[]) AS all_ids (id)', 's.no')}`),
    /**
     * Reads the page first. So the tables of its records are read for these records only, whatever the server's
     * statistics say.
     */
    list: statementOf(listed('id > $2')),
    /** $4: an id after those of the group. */
    listGroup: statementOf(listed('id > $2 AND id < $4')),
    countAll: statementOf(`SELECT count(*) FROM ${s}.records WHERE space = $1 AND ended_at IS NULL`),
    countGroup: statementOf(`SELECT count(*) FROM ${s}.records
      WHERE space = $1 AND id > $2 AND id < $3 AND ended_at IS NULL`),
    /** $3 field, $4 its value. The row of the record is locked first, so two of these statements take turns. */
    add: statementOf(`WITH held AS MATERIALIZED (
        SELECT no FROM ${s}.records WHERE space = $1 AND id = $2 AND ${LIVING} FOR NO KEY UPDATE
      ), kept AS (
        INSERT INTO ${s}.fields (record, name, value) SELECT no, $3, $4 FROM held
        ON CONFLICT (record, name) DO NOTHING RETURNING record
      ) UPDATE ${s}.records s SET rung = s.rung + 1, due_at = least(s.due_at, ${NOW})
        FROM kept WHERE s.space = $1 AND s.id = $2 AND s.no = kept.record`),
    addable: statementOf(`SELECT FROM ${s}.records WHERE space = $1 AND id = $2 AND ${LIVING}`),
    /** $2 time and $3 number of the record after which the page begins, $4 how many. */
    due: statementOf(`SELECT id, epoch, owner, coalesce(expired OR expires_at <= ${NOW}, false), ${WAKES_AT}, no
      FROM ${s}.records WHERE space = $1 AND ${NOT_ENDED} AND ${WAKES_AT} <= ${NOW_ONCE}
        AND (${WAKES_AT}, no) > ($2::double precision, $3::bigint) ORDER BY ${WAKES_AT}, no LIMIT $4`),
    /**
     * Values: those of the fence; the columns, and after `due_at` the `rung` that the owner has seen; then the fields:
     * names, values, names to delete. With `due_at` it answers whether the record rang since.
     */
    save(parts: SaveParts): Statement {
      const key = `${parts.columns.join()} ${parts.release} ${parts.fields}`;
      const known = saves.get(key) ?? statementOf(saveText(s, parts));
      saves.set(key, known);
      return known;
    },
  };
}

/**
 * $10 ms until the expiry, or null; $11 body, $12 how long an expired record shows as ended, $13 and $14 the fields:
 * names, values; $15 ms until the due time, or null. Replaces a record that shows no more.
 */
function createText(s: string): string {
  return `WITH made AS (
        INSERT INTO ${s}.records (space, id, v, epoch, owner, "user", head, created_at, stamp, expires_at, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, ${NOW} + $10::double precision, ${NOW} + $15::double precision)
        ON CONFLICT (space, id) DO UPDATE SET no = excluded.no, v = excluded.v, epoch = excluded.epoch,
          owner = excluded.owner, "user" = excluded."user", head = excluded.head,
          created_at = excluded.created_at, stamp = excluded.stamp,
          expires_at = excluded.expires_at, due_at = excluded.due_at, rung = 0, expired = false, outcome = NULL, ended_at = NULL, forget_at = NULL
        WHERE CASE WHEN records.ended_at IS NULL THEN records.expires_at + $12 <= ${NOW}
          ELSE records.forget_at <= ${NOW} END
        RETURNING no
      ), body AS (INSERT INTO ${s}.bodies (record, body) SELECT no, $11 FROM made
      ), kept AS (
        INSERT INTO ${s}.fields (record, name, value)
        SELECT no, f.name, f.value FROM made, unnest($13::text[], $14::text[]) AS f (name, value)
      ) SELECT no FROM made`;
}

function saveText(s: string, { columns, release, fields }: SaveParts): string {
  let values = 4;
  const next = (): string => `$${++values}`;
  const after = (ms: string): string => `${NOW} + ${ms}::double precision`;
  let rung = '';
  const sets = columns.map((column) => {
    if (column === 'expires_at') return `expires_at = ${after(next())}`;
    if (column !== 'due_at') return `${column} = ${next()}`;
    const [ms, seen] = [next(), next()];
    rung = `rung <> ${seen}::integer AS rung`;
    return `due_at = CASE WHEN rung = ${seen}::integer THEN ${after(ms)} ELSE ${NOW} END`;
  });
  if (release) sets.push('owner = NULL');
  const fenced =
    sets.length === 0
      ? `SELECT no FROM ${s}.records WHERE ${FENCED} FOR NO KEY UPDATE`
      : `UPDATE ${s}.records SET ${sets.join(', ')} WHERE ${FENCED} RETURNING no${rung === '' ? '' : `, ${rung}`}`;
  const parts = [`fenced AS MATERIALIZED (${fenced})`];
  if (fields) {
    const [name, value, gone] = [next(), next(), next()];
    parts.push(
      `kept AS (INSERT INTO ${s}.fields (record, name, value)
        SELECT no, f.name, f.value FROM fenced, unnest(${name}::text[], ${value}::text[]) AS f (name, value)
        ON CONFLICT (record, name) DO UPDATE SET value = excluded.value)`,
      `dropped AS (DELETE FROM ${s}.fields USING fenced WHERE record = fenced.no AND name = ANY (${gone}::text[]))`,
    );
  }
  return `WITH ${parts.join(', ')} SELECT ${rung === '' ? '' : 'rung '}FROM fenced`;
}
