/** The statements about the deployment and its instances. */
import { LEASES, OVER } from 'sojourn/store-kit';
import { NOW, statementOf } from './row-statements.ts';

export type InstanceStatements = ReturnType<typeof instanceStatements>;

/** The format of messages; a receiver skips higher ones. */
export const MESSAGE_VERSION = 1;

/** A lease that lives: it wakes when it expires. */
export const LIVING = `fence <> '${OVER}' AND wake > ${NOW}`;

/** Holds for the spaces of leases. Their names are JSON lists of a deployment and a kind (`postgres-store.ts`). */
export const LEASE_SPACE = `name LIKE '%,"${LEASES.name}"]'`;

/** `s`: the schema, quoted. */
export function instanceStatements(s: string) {
  // The fence is the epoch and the owner. The owner of a lease is the address of the mailbox.
  const mailbox = `split_part(fence, ' ', 2)::bigint`;
  const notify = `pg_notify(split_part(fence, ' ', 3), '')`;
  return {
    space: statementOf(`SELECT name FROM ${s}.spaces WHERE key = $1`),
    makeSpace: statementOf(`INSERT INTO ${s}.spaces (key, name) VALUES ($1, $2) ON CONFLICT DO NOTHING`),

    /** Which server process answers. */
    answering: statementOf('SELECT pg_backend_pid()'),

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
        SELECT id, ${mailbox} AS mailbox, pg_try_advisory_xact_lock_shared(${mailbox}) AS free, ${notify}
        FROM ${s}.rows WHERE space = $1 AND id = ANY ($2::text[]) AND ${LIVING}
      ), put AS (
        INSERT INTO ${s}.messages (mailbox, no, v, sender, body)
        SELECT r.mailbox, g.no, ${MESSAGE_VERSION}, g.sender, g.body FROM given g JOIN receivers r ON r.id = g.receiver
      ) SELECT g.ord, r.mailbox, r.free FROM given g LEFT JOIN receivers r ON r.id = g.receiver`),
    /** $2 sender, $3 number, $4 body: to all other instances. */
    publish: statementOf(`WITH receivers AS MATERIALIZED (
        SELECT ${mailbox} AS mailbox, ${notify} FROM ${s}.rows
        WHERE space = $1 AND id <> $2 AND ${LIVING}
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
    trimMessages: statementOf(`WITH living AS MATERIALIZED (
        SELECT ${mailbox} AS mailbox FROM ${s}.rows
        WHERE space IN (SELECT key FROM ${s}.spaces WHERE ${LEASE_SPACE}) AND ${LIVING}
      ) DELETE FROM ${s}.messages WHERE ctid = ANY (ARRAY(
        SELECT m.ctid FROM ${s}.messages m WHERE NOT EXISTS (SELECT FROM living l WHERE l.mailbox = m.mailbox)
        LIMIT $1 FOR UPDATE OF m SKIP LOCKED))`),
  };
}
