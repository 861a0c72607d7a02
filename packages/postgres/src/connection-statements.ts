/** The statements of a connection about itself. None is prepared: each runs once, or before a pooler is ruled out. */
import type { Value } from './pg.ts';

/**
 * The values of `setUp`.
 *
 * A statement whose client has given up changes nothing any more, and may wait for a lock. So the server ends it after
 * the time that the client waits, and notices clients that are gone.
 *
 * Every statement is prepared and looks up rows by a key. No plan depends on its values, or on statistics that new
 * tables do not have yet. JIT is off because compiling a statement would take longer than running it.
 */
export function settingsOf(limitMs: number, durable: boolean): Value[] {
  const settings = {
    statement_timeout: String(Math.ceil(limitMs)),
    idle_session_timeout: '0',
    lock_timeout: '0',
    tcp_keepalives_idle: '10',
    tcp_keepalives_interval: '5',
    tcp_keepalives_count: '3',
    default_transaction_isolation: 'read committed',
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
    enable_mergejoin: 'off',
    jit: 'off',
    ...(!durable && { synchronous_commit: 'off' }),
  };
  return [Object.keys(settings), Object.values(settings)];
}

const plain = (text: string) => ({ name: '', text });

/** Identifies the server; changes nothing. */
const SERVER_COLUMNS = `pg_backend_pid(), pg_is_in_recovery(), current_setting('server_version_num'),
    current_setting('server_version'), current_setting('server_encoding'),
    current_setting('default_transaction_read_only')`;

export const connectionStatements = {
  listen: (channel: string) => plain(`LISTEN ${channel}`),
  /** $1 names, $2 values of settings; older servers lack some. */
  setUp: plain(`SELECT ${SERVER_COLUMNS},
    (SELECT count(set_config(name, value, false)) FROM unnest($1::text[], $2::text[]) AS setting (name, value)
      WHERE current_setting(name, true) IS NOT NULL)`),
  serverState: plain(`SELECT ${SERVER_COLUMNS}`),
  /** Several connections may hold it: an earlier connection of this process may still be open on the server. */
  hold: plain('SELECT pg_advisory_lock_shared($1::bigint)'),
};
