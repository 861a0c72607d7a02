/** The listening socket that systemd or a compatible program passed to this process: `sd_listen_fds(3)`. */
import { Failure } from './failure.ts';
import type { Environment } from './settings.ts';

const FIRST_FD = 3;

/** The file descriptor; `undefined`: no socket was passed. */
export function activatedSocket(env: Environment, pid: number): number | undefined {
  const { LISTEN_PID, LISTEN_FDS } = env;
  // The variables are for another process: the parent did not remove them.
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined || LISTEN_FDS === '0') return undefined;
  if (LISTEN_FDS !== '1') {
    throw new Failure(
      `LISTEN_FDS is ${JSON.stringify(LISTEN_FDS)}, but sojourn serves one socket; give the socket unit one ListenStream`,
    );
  }
  return FIRST_FD;
}
