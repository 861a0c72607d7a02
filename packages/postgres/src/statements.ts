/**
 * The statements about rows, their logs and messages, one set per schema. All are written for READ COMMITTED. What
 * changes several rows does so in one order, so that two of these statements never deadlock.
 */
import { OVER, digestText } from 'sojourn/internal';
import { literal, quoted, type Statement } from './pg.ts';

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
    /** $3: the writer. */
    write: statementOf(`SELECT ${s}.write_trip($1, $2, $3)`),
    read: statementOf(`SELECT ${ROW} FROM ${s}.rows WHERE space = $1 AND id = $2`),
    /** $1 and $2: the space and the id of each row. */
    readAll: statementOf(`SELECT ${ROW}, asked.no FROM unnest($1::bigint[], $2::text[])
        WITH ORDINALITY AS asked (of, named, no)
      JOIN ${s}.rows ON space = asked.of AND id = asked.named`),
    /** $3: the stream of which the data is wanted; null: of none. */
    log: statementOf(`SELECT no, stream, head, CASE WHEN stream = $3 THEN data ELSE '' END FROM ${s}.log
      WHERE space = $1 AND id = $2 ORDER BY no`),
    list: statementOf(`SELECT ${ROW} FROM ${s}.rows
      WHERE space = $1 AND id > $2 AND id < $3 AND fence IS NOT NULL ORDER BY id LIMIT $4`),
    count: statementOf(`SELECT count(*) FROM ${s}.rows
      WHERE space = $1 AND id > $2 AND id < $3 AND fence IS NOT NULL`),
    /** $1 and $2: a space and a share. $3: what of it, how many rows (true), or how many bytes. */
    numbersOf: statementOf(`SELECT CASE
        WHEN asked.rows THEN (SELECT count(*) FROM ${s}.rows r
          WHERE r.space = asked.space AND r.share = asked.share AND r.stamp IS NOT NULL)
        ELSE (SELECT coalesce(sum(k.bytes), 0) FROM ${s}.kept k
          WHERE k.space = asked.space AND k.share = asked.share) END
      FROM unnest($1::bigint[], $2::text[], $3::boolean[])
        WITH ORDINALITY AS asked (space, share, rows, no) ORDER BY asked.no`),
    oldest:
      statementOf(`SELECT id FROM ${s}.rows WHERE space = $1 AND share = $2 AND stamp IS NOT NULL
      ORDER BY stamp, id LIMIT $3`),
    endedOf: statementOf(
      `SELECT id FROM ${s}.rows WHERE space = $1 AND share = $2 AND stamp IS NULL`,
    ),
    /** $3: the writer. */
    recount: statementOf(`SELECT ${s}.recount($1::bigint[], $2, $3)`),
    /** $1: the spaces of a deployment. */
    forgetAll: statementOf(`WITH l AS (DELETE FROM ${s}.log WHERE space = ANY ($1::bigint[])),
      k AS (DELETE FROM ${s}.kept WHERE space = ANY ($1::bigint[]))
      DELETE FROM ${s}.rows WHERE space = ANY ($1::bigint[])`),
    keptByAll: statementOf(`SELECT share, sum(bytes), sum(sum(bytes)) OVER () FROM ${s}.kept
      WHERE space = ANY ($1::bigint[]) GROUP BY share HAVING sum(bytes) > 0 ORDER BY 2 DESC, share LIMIT $2`),
    /**
     * $1 the spaces of a deployment, $2 that of its leases. One process does it at a time. A writer that lives all the
     * same makes another row with its next trip.
     */
    foldKept: statementOf(`WITH one AS MATERIALIZED (
        SELECT pg_try_advisory_xact_lock(hashtext('${CHANNEL}kept'), hashtext($1::text)) AS mine
      ), dead AS MATERIALIZED (
        SELECT space, share, writer FROM ${s}.kept WHERE (SELECT mine FROM one) AND space = ANY ($1::bigint[])
          AND writer <> 0 AND writer <> ALL (ARRAY(SELECT split_part(fence, ' ', 3)::bigint
            FROM ${s}.rows WHERE space = $2 AND ${living}))
        ORDER BY space, share, writer FOR UPDATE
      ), gone AS (
        DELETE FROM ${s}.kept k USING dead d
          WHERE k.space = d.space AND k.share = d.share AND k.writer = d.writer RETURNING k.*
      ) INSERT INTO ${s}.kept (space, share, writer, bytes)
        SELECT space, share, 0, sum(bytes) FROM gone GROUP BY space, share ORDER BY space, share
        ON CONFLICT (space, share, writer) DO UPDATE SET bytes = kept.bytes + excluded.bytes`),
    /** Numbers of shares that count nothing any more. */
    trimKept: statementOf(
      `DELETE FROM ${s}.kept WHERE space = ANY ($1::bigint[]) AND writer = 0 AND bytes = 0`,
    ),
    due: statementOf(`SELECT ${ROW} FROM ${s}.rows
      WHERE space = $1 AND wake <= $4 AND (wake, id) > ($2, $3) ORDER BY wake, id LIMIT $5`),
    /**
     * $2 the messages. Answers for each whether its receiver lives: it has a lease, and its lock is held; where the lock
     * is free, or the message asks, whether its connection is there, under a user who may read mailboxes. To look for
     * it costs some 100 µs. Of two checks of a lock at the same moment, one may take the other for the holder.
     *
     * Announcements arrive in the order of the commits, and so after those of the sender's earlier statements.
     */
    send: statementOf(`WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset($2) AS g (receiver text, body text, asks boolean, ord integer)
      ), receivers AS MATERIALIZED (
        SELECT id, mailbox, key, pg_try_advisory_xact_lock(key) AS free,
          pg_notify('${CHANNEL}' || key, pg_current_xact_id()::text)
        FROM (SELECT id, ${mailbox} AS mailbox, split_part(fence, ' ', 3)::bigint AS key
          FROM ${s}.rows WHERE space = $1 AND id = ANY (ARRAY(SELECT receiver FROM given)) AND ${living}) AS r
      ), put AS (
        INSERT INTO ${s}.messages (mailbox, ord, body)
        SELECT r.mailbox, g.ord, g.body FROM given g JOIN receivers r ON r.id = g.receiver
      ) SELECT g.ord, CASE WHEN r.free OR g.asks THEN EXISTS (
          SELECT FROM pg_stat_get_activity(NULL) a WHERE a.application_name = '${CHANNEL}' || r.key
            AND has_table_privilege(a.usesysid, ${literal(`${s}.messages`)}, 'DELETE')
        ) ELSE r.id IS NOT NULL END FROM given g LEFT JOIN receivers r ON r.id = g.receiver`),
    /**
     * $1 mailboxes, $2 the numbers that were announced, or null for all messages. While any transaction in the database
     * stays open (`pg_dump`), entries of deleted messages stay in the index; the numbers keep this from reading them.
     */
    receive:
      statementOf(`DELETE FROM ${s}.messages WHERE mailbox = ANY ($1::bigint[]) AND no = ANY (
        coalesce($2::bigint[], ARRAY(SELECT no FROM ${s}.messages WHERE mailbox = ANY ($1::bigint[]))))
      RETURNING mailbox, no, ord, body`),
    /** Messages to dead instances, of every deployment: others read theirs at once, or after a reconnect. */
    trimMessages: statementOf(`DELETE FROM ${s}.messages WHERE sent < now() - interval '1 hour'`),
  };
}

/**
 * Between the texts of a trip that may be long and are JSON, which holds no such character. As members of the trip they
 * take three times as long: PostgreSQL 15 reads 8 MB of JSON in a second.
 */
export const APART = '\u001f';

/**
 * The function of `write`: all writes of a trip in one transaction, at most one for each row.
 * Answers which of them fitted, by their `ord`.
 *
 * A put replaces the row of version `was` (0: there is none); without a version it deletes the row.
 * `clear`: its log goes. Without a body the row keeps its own. A log write has no `was`; its first
 * entry must be above the last one of the log, and then entries up to `cut` go. `data`: the place
 * of a text in `texts`, which `APART` separates. `number`: the share whose number of this writer
 * grows by `more`, less what entries counted that go; `share`: the share of the row.
 *
 * Each statement about a row waits for the transaction that has locked it. The next statement sees
 * what that stored.
 *
 * The function `emit` makes the row that `create` of the kernel stores for an event
 * (`durable/events/event-store.ts`), in the transaction of its caller. A role that may call it
 * needs no right on the tables.
 */
export const functions = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.write_trip(trip json, texts text, writer bigint)
  RETURNS SETOF integer LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  freed bigint;
  spaces bigint[] := '{}';
  numbers text[] := '{}';
  counts bigint[] := '{}';
  parts text[] := string_to_array(texts, chr(${APART.charCodeAt(0)}));
BEGIN
  FOR w IN SELECT * FROM json_to_recordset(trip) AS g (ord integer, space bigint, id text, was bigint, version bigint,
    fence text, wake float8, body text, data integer, clear boolean, share text,
    stamp float8, bytes bigint, number text, more bigint, entries json, first bigint, cut bigint)
    ORDER BY space, id COLLATE "C"
  LOOP
    freed := 0;
    IF w.was IS NULL THEN
      PERFORM FROM ${s}.rows r WHERE r.space = w.space AND r.id = w.id AND r.fence = w.fence FOR NO KEY UPDATE;
      CONTINUE WHEN NOT FOUND OR w.first <= (
        SELECT l.no FROM ${s}.log l WHERE l.space = w.space AND l.id = w.id ORDER BY l.no DESC LIMIT 1);
      INSERT INTO ${s}.log (space, id, no, stream, head, bytes, data)
        SELECT w.space, w.id, e.no, e.stream, e.head, e.bytes, coalesce(parts[e.data], '')
        FROM json_to_recordset(w.entries) AS e (no bigint, stream text, head text, bytes bigint, data integer);
      IF w.cut > 0 THEN
        WITH gone AS (
          DELETE FROM ${s}.log l WHERE l.space = w.space AND l.id = w.id AND l.no <= w.cut RETURNING l.bytes
        ) SELECT coalesce(sum(bytes), 0) INTO freed FROM gone;
      END IF;
    ELSE
      IF w.version IS NULL THEN
        DELETE FROM ${s}.rows r WHERE r.space = w.space AND r.id = w.id AND r.version = w.was;
      ELSIF w.was > 0 THEN
        UPDATE ${s}.rows r SET version = w.version, fence = w.fence, wake = w.wake, data = parts[w.data],
          share = w.share, stamp = w.stamp, bytes = w.bytes,
          body = coalesce(w.body, r.body) WHERE r.space = w.space AND r.id = w.id AND r.version = w.was;
      ELSE
        INSERT INTO ${s}.rows (space, id, version, fence, wake, share, stamp, bytes, body, data)
          VALUES (w.space, w.id, w.version, w.fence, w.wake, w.share, w.stamp, w.bytes, w.body, parts[w.data])
          ON CONFLICT DO NOTHING;
      END IF;
      CONTINUE WHEN NOT FOUND;
      IF w.clear AND w.was > 0 THEN
        WITH gone AS (
          DELETE FROM ${s}.log l WHERE l.space = w.space AND l.id = w.id RETURNING l.bytes
        ) SELECT coalesce(sum(bytes), 0) INTO freed FROM gone;
      END IF;
    END IF;
    IF w.number IS NOT NULL AND w.more <> freed THEN
      spaces := spaces || w.space;
      numbers := numbers || w.number;
      counts := counts || (w.more - freed);
    END IF;
    RETURN NEXT w.ord;
  END LOOP;
  IF cardinality(spaces) > 0 THEN
    INSERT INTO ${s}.kept (space, share, writer, bytes)
      SELECT c.space, c.share, write_trip.writer, sum(c.bytes) FROM unnest(spaces, numbers, counts) AS c (space, share, bytes)
      GROUP BY c.space, c.share ORDER BY c.space, c.share
      ON CONFLICT (space, share, writer) DO UPDATE SET bytes = kept.bytes + excluded.bytes;
  END IF;
END $$;

CREATE OR REPLACE FUNCTION ${s}.recount(of_spaces bigint[], of_share text, of_writer bigint)
  RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- The next statement sees what another recount has stored.
  PERFORM pg_advisory_xact_lock(hashtext('${CHANNEL}recount'), hashtext(of_share));
  -- One snapshot: rows and numbers of a trip are there together, or none of them.
  INSERT INTO ${s}.kept (space, share, writer, bytes)
    SELECT g.space, of_share, of_writer,
      (SELECT coalesce(sum(r.bytes + (SELECT coalesce(sum(l.bytes), 0) FROM ${s}.log l
        WHERE l.space = r.space AND l.id = r.id)), 0) FROM ${s}.rows r WHERE r.space = g.space AND r.share = of_share)
      - (SELECT coalesce(sum(k.bytes), 0) FROM ${s}.kept k WHERE k.space = g.space AND k.share = of_share)
    FROM unnest(of_spaces) AS g (space) ORDER BY g.space
    ON CONFLICT (space, share, writer) DO UPDATE SET bytes = kept.bytes + excluded.bytes;
END $$;

CREATE OR REPLACE FUNCTION ${s}.emit(name text, data json, event_id text DEFAULT NULL, user_key text DEFAULT NULL,
    at text DEFAULT NULL, deployment text DEFAULT 'mcp')
  RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now_ms bigint := ${NOW};
  ends_ms bigint := now_ms + 604800000;
  event text := coalesce(event_id, 'evt_' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 24));
  happened text := coalesce(at, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
BEGIN
  INSERT INTO ${s}.rows (space, id, version, fence, wake, bytes, data, body) VALUES (
    ('x' || encode(substring(sha256(convert_to('[' || to_json(deployment) || ',"emits"]', 'UTF8'))
      from 1 for 8), 'hex'))::bit(64)::bigint,
    '1.' || lpad(floor(date_part('epoch', clock_timestamp()) * 1000000)::bigint::text, 16, '0') || '.' ||
      substr(replace(gen_random_uuid()::text, '-', ''), 1, 8),
    1 + floor(random() * 500000000)::bigint, '1  ' || ends_ms, ends_ms, 0,
    '[1,1,null,' || coalesce(to_json(user_key)::text, 'null') || ',"",{},' || now_ms || ',0,' || ends_ms || ',null,0,null]',
    '{"n":' || to_json(name) || ',"d":' || data || ',"i":' || to_json(event) || ',"t":' || to_json(happened) || '}');
  RETURN event;
END $$;
REVOKE ALL ON FUNCTION ${s}.emit(text, json, text, text, text, text) FROM PUBLIC;
`;
