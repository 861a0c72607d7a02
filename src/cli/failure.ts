/**
 * Errors that end the CLI with a message and no stack. Exit code 1: the command failed. 2: the command line is wrong.
 */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** The command line or the environment asks for something that does not exist or does not fit. */
export class UsageError extends Error {}

/** The command line is right, but the command failed. */
export class Failure extends Error {}

/** The user's module cannot be loaded. `cause` is what it threw. */
export class LoadFailure extends Failure {}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` that Node and sojourn put on their errors. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/**
 * `flag` chooses the port. `fd` is a socket that a supervisor or systemd passed: binding it showed no error, so that
 * `listen` is the first to say that its address is in use.
 */
export function listenProblem(
  error: unknown,
  host: string,
  port: number,
  flag = '--port',
  fd?: number,
): string {
  if (codeOf(error) === 'EADDRINUSE')
    return (
      `port ${port} on ${host} is in use: stop the program that listens there, or choose another port with ${flag} ` +
      '(0 takes any free one)'
    );
  const where =
    fd === undefined ? `port ${port} on ${host}` : `the passed socket (file descriptor ${fd})`;
  return `cannot listen on ${where}: ${reason(error)}`;
}
