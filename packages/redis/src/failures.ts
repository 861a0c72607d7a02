/** Turns errors of Redis and its client into store errors that name the server and say what to do. */
import { SojournError, storeUnavailable, storeRefused, storeWithoutRoom } from 'sojourn/internal';

/** The first words of error replies that need an explanation; the others say by themselves what is wrong. */
const EXPLAINED: Readonly<Record<string, string>> = {
  WRONGPASS: 'user name and password are not accepted; put the right ones into the URL',
  NOAUTH: 'it asks for a password; put it into the URL, redis://user:password@host',
  NOPERM:
    'this user may not do that; the page of the Redis store lists the commands, keys and channels that are needed',
  OOM: 'its memory is full (maxmemory), so it refused the write. Give it more, or keep less (eventRetention)',
  READONLY:
    'it is a replica; name the primary, or give a client that finds it (createSentinel, createCluster)',
  MOVED: 'it is a node of a Cluster; give the store a client made by createCluster',
  ASK: 'it is a node of a Cluster; give the store a client made by createCluster',
  WRONGTYPE: 'another program wrote to one of its keys; give the store another prefix',
  UNKNOWN: 'it does not know a command; Redis 6.2 or later is needed, 7.0 for a Cluster',
  NOPASS: 'it has no password for this user; take the password out of the URL',
  NODB: 'it has no database of this number; put a lower one into the URL, redis://host/0',
};

/** An operator must change something. */
const LASTING = [
  'WRONGPASS',
  'NOAUTH',
  'NOPERM',
  'MOVED',
  'ASK',
  'WRONGTYPE',
  'UNKNOWN',
  'NOPASS',
  'NODB',
];

/** Redis 6.2 puts this before the error of a command in a script, and the line after it once more. */
const IN_SCRIPT = /^ERR Error running script .*@user_script: ?\d+: -?/;

/**
 * The first word of an error reply, or of the reply that caused a store error; undefined: there is
 * none.
 */
export function replyCode(error: unknown): string | undefined {
  const { message: whole } = (error instanceof SojournError ? (error.cause ?? {}) : error) as {
    message?: unknown;
  };
  if (typeof whole !== 'string') return undefined;
  const message = whole.replace(IN_SCRIPT, '');
  if (/^(ERR )?(ACL failure in script:|The user executing the script can't) /.test(message))
    return 'NOPERM';
  if (/^ERR unknown command/i.test(message)) return 'UNKNOWN';
  if (/^ERR AUTH <password> called without any password/i.test(message)) return 'NOPASS';
  if (/^ERR DB index is out of range/i.test(message)) return 'NODB';
  return /^([A-Z]{3,}) /.exec(message)?.[1];
}

export function redisFailure(where: string, error: unknown): Error {
  if (error instanceof SojournError) return error;
  // Node joins the errors of several addresses into one error without a message.
  const [first = error] = (error as { readonly errors?: readonly unknown[] }).errors ?? [];
  const text = (first as Partial<Error>).message || String(first);
  const code = replyCode(error) ?? '';
  const explained = EXPLAINED[code];
  const failure = LASTING.includes(code)
    ? storeRefused
    : code === 'OOM'
      ? storeWithoutRoom
      : storeUnavailable;
  return failure(
    explained === undefined ? `${where}: ${text}` : `${where}: ${explained} (${text})`,
    error,
  );
}
