/** The statements about the deployment and its instances. */
import { OVER } from 'sojourn/store-kit';
import { NOW, statementOf } from './row-statements.ts';

export type InstanceStatements = ReturnType<typeof instanceStatements>;

/** The name of each channel begins with it. */
export const CHANNEL = 'sojourn_';

/** `s`: the schema, quoted. */
export function instanceStatements(s: string) {
  // The fence is the epoch and the owner. The owner of a lease is its address: the mailbox, then the key of the connection.
  const mailbox = `split_part(fence, ' ', 2)::bigint`;
  /** A lease that lives: it wakes when it expires. */
  const living = `fence <> '${OVER}' AND wake > ${NOW}`;
  return {
    /**
     * $2 receivers, $3 senders, $4 bodies. Answers for each message the mailbox of its receiver, if it has a lease, and
     * whether its lock is free. Of two checks at the same moment, one may take the other for the holder.
     */
    send: statementOf(`WITH given AS MATERIALIZED (
        SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS g (receiver, sender, body, ord)
      ), receivers AS MATERIALIZED (
        SELECT id, mailbox, key, pg_try_advisory_xact_lock(key) AS free FROM (
          SELECT id, ${mailbox} AS mailbox, split_part(fence, ' ', 3)::bigint AS key
          FROM ${s}.rows WHERE space = $1 AND id = ANY ($2::text[]) AND ${living}) AS r
      ), put AS (
        INSERT INTO ${s}.messages (mailbox, sender, body)
        SELECT r.mailbox, g.sender, g.body FROM given g JOIN receivers r ON r.id = g.receiver ORDER BY g.ord
        RETURNING mailbox, no
      ), told AS MATERIALIZED (
        SELECT pg_notify('${CHANNEL}' || r.key, min(p.no) || ' ' || max(p.no)) AS one
        FROM put p JOIN receivers r ON r.mailbox = p.mailbox GROUP BY r.key
      ) SELECT g.ord, r.mailbox, r.free, (SELECT count(one) FROM told)
        FROM given g LEFT JOIN receivers r ON r.id = g.receiver`),
    /**
     * $1 mailboxes, $2 and $3 the first and the last number that were announced. While any transaction in the database
     * stays open (`pg_dump`), entries of deleted messages stay in the index; the numbers keep this from reading them.
     */
    receive: statementOf(`DELETE FROM ${s}.messages WHERE mailbox = ANY ($1::bigint[]) AND no BETWEEN $2 AND $3
      RETURNING mailbox, no, sender, body`),
    /** Messages to dead instances, of every deployment: others read theirs at once, or after a reconnect. */
    trimMessages: statementOf(`DELETE FROM ${s}.messages WHERE sent < now() - interval '1 hour'`),
  };
}
