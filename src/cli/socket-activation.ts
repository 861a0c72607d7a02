/** The listening socket that systemd, or whatever speaks its protocol, passed to this process: `sd_listen_fds(3)`. */
import { Failure } from './failure.ts';
import type { Environment } from './settings.ts';

const FIRST_FD = 3;

/** `undefined`: none was passed. */
export function activatedSocket(env: Environment, pid: number): number | undefined {
  const { LISTEN_PID, LISTEN_FDS } = env;
  // Meant for another process: a parent that did not take the variables away.
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined || LISTEN_FDS === '0') return undefined;
  if (LISTEN_FDS !== '1') {
    throw new Failure(
      `LISTEN_FDS is ${JSON.stringify(LISTEN_FDS)}: one socket is served; give the unit one ListenStream`,
    );
  }
  return FIRST_FD;
}
