/** The statements of a connection about itself. */
import { statementOf } from './session-statements.ts';

/** Not prepared: each has no values, or is asked once. */
const plain = (text: string) => ({ name: '', text });

export const connectionStatements = {
  begin: plain('BEGIN'),
  commit: plain('COMMIT'),
  rollback: plain('ROLLBACK'),
  listen: (channel: string) => plain(`LISTEN ${channel}`),
  /** $1 names, $2 values of settings. */
  setUp: plain(`SELECT pg_backend_pid(), current_setting('server_version_num'), current_setting('server_version'),
    current_setting('server_encoding'), pg_is_in_recovery(), current_setting('client_connection_check_interval', true),
    (SELECT count(set_config(name, value, false)) FROM unnest($1::text[], $2::text[]) AS setting (name, value))`),
  checkInterval: plain(`SELECT set_config('client_connection_check_interval', $1, false)`),
  whoAnswers: plain('SELECT pg_backend_pid(), pg_is_in_recovery()'),

  lock: statementOf('SELECT pg_try_advisory_lock($1::bigint)'),
  waitForLock: statementOf('SELECT pg_advisory_lock($1::bigint)'),
  unlock: statementOf('SELECT pg_advisory_unlock($1::bigint)'),
  /** Whoever holds a lock of this store: an earlier connection of it, whose end the server has not noticed. */
  endHolder: statementOf(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = (($1::bigint >> 32) & 4294967295)::oid AND objid = ($1::bigint & 4294967295)::oid AND objsubid = 1
    AND mode = 'ExclusiveLock' AND pid <> pg_backend_pid()`),
  /** Shared by those who look, so that they do not take each other for its holder. */
  isLockFree: plain('SELECT pg_try_advisory_xact_lock_shared($1::bigint)'),
  notify: plain('SELECT pg_notify($1, $2)'),
};
