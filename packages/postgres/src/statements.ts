/**
 * The statements about rows, their logs and messages, one set per schema. All are written for READ COMMITTED.
 *
 * What changes several rows locks them first, and makes new ones, in one order, so that two of these statements never
 * deadlock: a version never comes back, so no change fits a row that was made after the locks. The locks and the change
 * are two statements in one function: the second one sees what was stored while the first one waited.
 */
import { OVER, digestText } from 'sojourn/store-kit';
import { quoted, type Statement } from './pg.ts';

/** The name of each channel begins with it. */
export const CHANNEL = 'sojourn_';

/** The store's clock, ms since 1970: the current time, not the start of the transaction. */
const NOW = "floor(date_part('epoch', clock_timestamp()) * 1000)";

const statementOf = (text: string): Statement => ({
  name: `sojourn_${digestText(text).slice(0, 22)}`,
  text,
});

export type Statements = ReturnType<typeof statementsOf>;

const ROW = 'id, version, fence, wake, body, data';

export function statementsOf(schema: string) {
  const s = quoted(schema);
  // The fence is the epoch and the owner. The owner of a lease is its address: the mailbox, then the key of the connection.
  const mailbox = `split_part(fence, ' ', 2)::bigint`;
  /** A lease that lives: it wakes when it expires. */
  const living = `fence <> '${OVER}' AND wake > ${NOW}`;
  return {
    now: statementOf(`SELECT ${NOW}`),
    write: statementOf(`SELECT ${s}.write_all($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`),
    read: statementOf(`SELECT ${ROW} FROM ${s}.rows WHERE space = $1 AND id = $2`),
    /** $3: the stream of which the data is wanted; null: of none. */
    log: statementOf(`SELECT no, stream, head, CASE WHEN stream = $3 THEN data ELSE '' END FROM ${s}.log
      WHERE space = $1 AND id = $2 ORDER BY no`),
    list: statementOf(`SELECT ${ROW} FROM ${s}.rows
      WHERE space = $1 AND id > $2 AND id < $3 AND fence IS NOT NULL ORDER BY id LIMIT $4`),
    count: statementOf(`SELECT count(*) FROM ${s}.rows
      WHERE space = $1 AND id > $2 AND id < $3 AND fence IS NOT NULL`),
    due: statementOf(`SELECT ${ROW} FROM ${s}.rows
      WHERE space = $1 AND wake <= $4 AND (wake, id) > ($2, $3) ORDER BY wake, id LIMIT $5`),
    /**
     * $2 receivers, $3 bodies. Answers for each message the mailbox of its receiver, if it has a lease, and
     * whether its lock is free. Of two checks at the same moment, one may take the other for the holder.
     *
     * Announcements arrive in the order of the commits, and so after those of the sender's earlier statements.
     */
    send: statementOf(`WITH given AS MATERIALIZED (
        SELECT * FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS g (receiver, body, ord)
      ), receivers AS MATERIALIZED (
        SELECT id, mailbox, pg_try_advisory_xact_lock(key) AS free,
          pg_notify('${CHANNEL}' || key, pg_current_xact_id()::text)
        FROM (SELECT id, ${mailbox} AS mailbox, split_part(fence, ' ', 3)::bigint AS key
          FROM ${s}.rows WHERE space = $1 AND id = ANY ($2::text[]) AND ${living}) AS r
      ), put AS (
        INSERT INTO ${s}.messages (mailbox, ord, body)
        SELECT r.mailbox, g.ord, g.body FROM given g JOIN receivers r ON r.id = g.receiver
      ) SELECT g.ord, r.mailbox, r.free FROM given g LEFT JOIN receivers r ON r.id = g.receiver`),
    /**
     * $1 mailboxes, $2 the numbers that were announced, or null for all messages. While any transaction in the database
     * stays open (`pg_dump`), entries of deleted messages stay in the index; the numbers keep this from reading them.
     */
    receive: statementOf(`DELETE FROM ${s}.messages WHERE mailbox = ANY ($1::bigint[]) AND no = ANY (
        coalesce($2::bigint[], ARRAY(SELECT no FROM ${s}.messages WHERE mailbox = ANY ($1::bigint[]))))
      RETURNING mailbox, no, ord, body`),
    /** Messages to dead instances, of every deployment: others read theirs at once, or after a reconnect. */
    trimMessages: statementOf(`DELETE FROM ${s}.messages WHERE sent < now() - interval '1 hour'`),
  };
}

/**
 * The function of `write`: all writes of a trip in one transaction, at most one for each row. Answers which of them
 * fitted, counted from 1.
 *
 * `spaces` to `cuts` have a member for each write. A put replaces the row of version `was` (0: there is none); without
 * a version it deletes the row. `clears`: its log goes, and its body is the new one. A log write has no `was`. `firsts`:
 * the number that must be above the last one of the log, or null. `cuts`: up to which number entries go, or 0.
 * `writes` to `events` say for each entry to which write it belongs, and what it is.
 */
export const functions = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.write_all(spaces bigint[], ids text[], was bigint[], versions bigint[], fences text[],
  wakes float8[], bodies text[], datas text[], clears boolean[], firsts bigint[], cuts bigint[],
  writes integer[], nos bigint[], streams text[], heads text[], events text[])
RETURNS SETOF integer LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM (
    SELECT g.space, g.id COLLATE "C" AS id FROM unnest(spaces, ids) AS g (space, id) ORDER BY 1, 2) AS wanted
    CROSS JOIN LATERAL (SELECT FROM ${s}.rows r WHERE r.space = wanted.space AND r.id = wanted.id
      FOR NO KEY UPDATE) AS locked;
  IF array_remove(was, NULL) <> '{}' THEN
    RETURN QUERY WITH given AS MATERIALIZED (
      SELECT * FROM unnest(spaces, ids, was, versions, fences, wakes, bodies, datas, clears) WITH ORDINALITY
        AS g (space, id, was, version, fence, wake, body, data, clear, ord)
    ), inserted AS (
      INSERT INTO ${s}.rows (space, id, version, fence, wake, body, data)
      SELECT g.space, g.id, g.version, g.fence, g.wake, g.body, g.data FROM given g
      WHERE g.version IS NOT NULL AND g.was = 0 ORDER BY g.space, g.id ON CONFLICT DO NOTHING RETURNING space, id
    ), updated AS (
      UPDATE ${s}.rows r SET version = g.version, fence = g.fence, wake = g.wake, data = g.data,
        body = CASE WHEN g.clear THEN g.body ELSE r.body END
      FROM given g WHERE g.version IS NOT NULL AND r.space = g.space AND r.id = g.id AND r.version = g.was
      RETURNING r.space, r.id
    ), deleted AS (
      DELETE FROM ${s}.rows r USING given g
      WHERE g.version IS NULL AND r.space = g.space AND r.id = g.id AND r.version = g.was
      RETURNING r.space, r.id
    ), done AS MATERIALIZED (
      SELECT g.* FROM given g
      JOIN (TABLE inserted UNION ALL TABLE updated UNION ALL TABLE deleted) AS d ON d.space = g.space AND d.id = g.id
    ), cleared AS (
      DELETE FROM ${s}.log l USING done d WHERE d.clear AND d.was > 0 AND l.space = d.space AND l.id = d.id
    ) SELECT d.ord::integer FROM done d;
  END IF;
  IF array_position(was, NULL) IS NOT NULL THEN
    RETURN QUERY WITH fitting AS MATERIALIZED (
      SELECT g.* FROM unnest(spaces, ids, was, fences, firsts, cuts) WITH ORDINALITY
        AS g (space, id, was, fence, first, cut, ord)
      JOIN ${s}.rows r ON r.space = g.space AND r.id = g.id AND r.fence = g.fence
      WHERE g.was IS NULL AND (g.first IS NULL OR g.first > coalesce(
        (SELECT l.no FROM ${s}.log l WHERE l.space = g.space AND l.id = g.id ORDER BY l.no DESC LIMIT 1), 0))
    ), added AS (
      INSERT INTO ${s}.log (space, id, no, stream, head, data)
      SELECT f.space, f.id, e.no, e.stream, e.head, e.data
      FROM unnest(writes, nos, streams, heads, events) AS e (write, no, stream, head, data)
      JOIN fitting f ON f.ord = e.write
    ), gone AS (
      DELETE FROM ${s}.log l USING fitting f WHERE f.cut > 0 AND l.space = f.space AND l.id = f.id AND l.no <= f.cut
    ) SELECT f.ord::integer FROM fitting f;
  END IF;
END $$;
`;
