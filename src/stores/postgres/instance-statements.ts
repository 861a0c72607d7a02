/** The statements about the deployment and its instances. */
import { NOW, statementOf } from './record-statements.ts';

export type InstanceStatements = ReturnType<typeof instanceStatements>;

/** The format of messages; a receiver skips higher ones. */
export const MESSAGE_VERSION = 1;

/** `s`: the schema, quoted. */
export function instanceStatements(s: string) {
  return {
    space: statementOf(`SELECT name FROM ${s}.spaces WHERE key = $1`),
    makeSpace: statementOf(`INSERT INTO ${s}.spaces (key, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`),

    // ——— leases ———
    /** $7 ms of the lease. */
    announce: statementOf(`INSERT INTO ${s}.instances (deployment, id, v, state, version, mailbox, channel, renewals,
        announced_at, ends)
      VALUES ($1, $2, ${MESSAGE_VERSION}, $3, $4, $5, $6, 0, ${NOW}, ${NOW} + $7::double precision)
      ON CONFLICT DO NOTHING`),
    /** $4 ms of the lease. Answers whether there was a lease, and which server process answered. */
    renew: statementOf(`WITH renewed AS (
        UPDATE ${s}.instances SET state = $3, ends = ${NOW} + $4::double precision, renewals = renewals + 1
        WHERE deployment = $1 AND id = $2 AND ends > ${NOW} RETURNING 1
      ) SELECT EXISTS (SELECT FROM renewed), pg_backend_pid()`),
    /**
     * Leases of instances that are not dead. Last column: the lease has expired, and must be buried before a caller
     * learns that.
     */
    lease: statementOf(`SELECT id, state, version, renewals, ends <= ${NOW} FROM ${s}.instances
      WHERE deployment = $1 AND id = $2 AND ends > 0`),
    leases: statementOf(`SELECT id, state, version, renewals, ends <= ${NOW} FROM ${s}.instances
      WHERE deployment = $1 AND ends > 0 ORDER BY id`),
    /**
     * Buries expired leases. It waits for a renewal that is running, and a later renewal finds no lease to renew. So
     * all callers agree on whether an instance is dead.
     */
    buryLate: statementOf(`WITH late AS MATERIALIZED (
        SELECT id FROM ${s}.instances WHERE deployment = $1 AND ends > 0 AND ends <= ${NOW} ORDER BY id FOR UPDATE
      ) UPDATE ${s}.instances i SET ends = 0 FROM late WHERE i.deployment = $1 AND i.id = late.id`),
    /** $3 state and $4 renewals, as they were read. */
    bury: statementOf(`UPDATE ${s}.instances SET ends = 0 WHERE deployment = $1 AND id = $2 AND ends > ${NOW}
      AND state = $3 AND ($4::bigint IS NULL OR renewals = $4)`),
    leave: statementOf(`UPDATE ${s}.instances SET ends = 0 WHERE deployment = $1 AND id = $2`),
    /** For every deployment; $1: ms that a dead id is remembered. */
    forgetInstances: statementOf(`DELETE FROM ${s}.instances WHERE (deployment, id) IN (
      SELECT deployment, id FROM ${s}.instances WHERE ends <= ${NOW} AND announced_at <= ${NOW} - $1::double precision
      LIMIT 1000 FOR UPDATE SKIP LOCKED)`),

    // ——— messages ———
    /**
     * $2 receivers, $3 senders, $4 numbers, $5 bodies. Answers for each message the mailbox of its receiver, if it has
     * a lease, and whether its lock is free. The check takes a shared lock, so that two checks do not take each other
     * for the owner.
     */
    send: statementOf(`WITH given AS MATERIALIZED (
        SELECT * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY
          AS g (receiver, sender, no, body, ord)
      ), receivers AS MATERIALIZED (
        SELECT i.id, i.mailbox, pg_try_advisory_xact_lock_shared(i.mailbox) AS free, pg_notify(i.channel, '')
        FROM ${s}.instances i WHERE i.deployment = $1 AND i.id = ANY ($2::text[]) AND i.ends > ${NOW}
      ), put AS (
        INSERT INTO ${s}.messages (mailbox, no, v, sender, body)
        SELECT r.mailbox, g.no, ${MESSAGE_VERSION}, g.sender, g.body FROM given g JOIN receivers r ON r.id = g.receiver
      ) SELECT g.ord, r.mailbox, r.free FROM given g LEFT JOIN receivers r ON r.id = g.receiver`),
    /** $2 sender, $3 number, $4 body: to all other instances. */
    publish: statementOf(`WITH receivers AS MATERIALIZED (
        SELECT i.mailbox, pg_notify(i.channel, '') FROM ${s}.instances i
        WHERE i.deployment = $1 AND i.id <> $2 AND i.ends > ${NOW}
      ) INSERT INTO ${s}.messages (mailbox, no, v, sender, body)
        SELECT mailbox, $3, ${MESSAGE_VERSION}, $2, $4 FROM receivers`),
    /**
     * $1 mailboxes; $2 and $3: the snapshot of the last read, as its end and the transactions that were running. Only
     * messages of transactions after it, or running during it, are new. All others were read and deleted. While any
     * transaction in the database stays open (`pg_dump`), their dead entries stay in the index; without $2 each read
     * would scan all of them. The last row is the snapshot of this read.
     */
    receive: statementOf(`WITH later AS (
        DELETE FROM ${s}.messages WHERE mailbox = ANY ($1::bigint[]) AND tx >= $2::bigint
        RETURNING mailbox, v, sender, no, body
      ), late AS (
        DELETE FROM ${s}.messages WHERE ctid = ANY (ARRAY(
          SELECT m.ctid FROM unnest($1::bigint[]) AS b (mailbox) CROSS JOIN unnest($3::bigint[]) AS r (tx)
          CROSS JOIN LATERAL (SELECT ctid FROM ${s}.messages WHERE mailbox = b.mailbox AND tx = r.tx OFFSET 0) AS m))
        RETURNING mailbox, v, sender, no, body
      ) SELECT * FROM later UNION ALL SELECT * FROM late
      UNION ALL SELECT NULL, NULL, NULL, NULL, pg_current_snapshot()::text`),
    /** Messages to dead instances, of every deployment; $1 rows. */
    trimMessages: statementOf(`DELETE FROM ${s}.messages WHERE ctid = ANY (ARRAY(
      SELECT m.ctid FROM ${s}.messages m
      WHERE NOT EXISTS (SELECT FROM ${s}.instances i WHERE i.mailbox = m.mailbox AND i.ends > ${NOW})
      LIMIT $1 FOR UPDATE OF m SKIP LOCKED))`),
  };
}
