/**
 * The listening socket of the workers. The supervisor keeps it open and never accepts: a connection that arrives while
 * no worker accepts waits in the kernel.
 */
import { lookup } from 'node:dns/promises';
import net, { isIP } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { Failure } from './failure.ts';

export interface HeldSocket {
  readonly fd: number;
  /** Closes the supervisor's handle. Once the workers have closed theirs too, connections are refused. */
  release(): void;
}

/** The handle type that `node:cluster` uses in its primary process. */
interface UvBound {
  readonly fd: number;
  getsockname(out: object): number;
  close(): void;
}

interface Binding {
  /** Returns a negative errno on failure. Node has no public function that binds a socket without accepting on it. */
  _createServerHandle?(address: string, port: number, family: number): UvBound | number;
}
const binding = net as unknown as Binding;

/** Whether a process can hold a port for others. Windows cannot pass a socket to a process. */
export const canHoldPort = (): boolean => process.platform !== 'win32';

/** Rejects with the same codes as `server.listen`: `EADDRINUSE`, `EACCES`, `ENOTFOUND` … */
export async function bindSocket(host: string, port: number): Promise<HeldSocket> {
  const { address, family } =
    isIP(host) === 0 ? await lookup(host) : { address: host, family: isIP(host) };
  const handle = binding._createServerHandle?.(address, port, family);
  if (handle === undefined)
    throw new Error('this version of Node.js cannot hold it for other processes: say --workers 0');
  if (typeof handle === 'number') throw bindError(handle);
  // Some systems report a port in use only here.
  const failure = handle.getsockname({});
  if (failure !== 0) {
    handle.close();
    throw bindError(failure);
  }
  return { fd: handle.fd, release: () => handle.close() };
}

/** The first descriptor of `sd_listen_fds(3)`. */
const FIRST_FD = 3;

/**
 * The file descriptor of the listening socket that systemd or a compatible program passed to this process; `undefined`:
 * none. Removes the variables, so that no child process of the user's module takes the socket.
 */
export function activatedSocket(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { LISTEN_PID, LISTEN_FDS } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  // The variables are for another process: the parent did not remove them.
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined || LISTEN_FDS === '0')
    return undefined;
  if (LISTEN_FDS !== '1') {
    throw new Failure(
      `LISTEN_FDS is ${JSON.stringify(LISTEN_FDS)}, but sojourn serves one socket; give the socket unit one ListenStream`,
    );
  }
  return FIRST_FD;
}

function bindError(errno: number): Error {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`bind ${code}`), { code });
}
