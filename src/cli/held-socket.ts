/**
 * The socket that workers accept on. The supervisor holds it and never accepts: whoever connects while workers come and go
 * waits in the kernel.
 */
import { lookup } from 'node:dns/promises';
import net, { isIP } from 'node:net';
import { getSystemErrorName } from 'node:util';

export interface HeldSocket {
  readonly fd: number;
  /** It was passed to the supervisor, and outlives it. */
  readonly isPassed: boolean;
  /** Nobody comes after the workers: once they have left it, connections are refused. */
  release(): void;
}

/** What `node:cluster` keeps in its primary. */
interface BoundHandle {
  readonly fd: number;
  getsockname(out: object): number;
  close(): void;
}

interface Binding {
  /** A negative number is the system's error. Node has no public call that binds without accepting. */
  _createServerHandle(address: string, port: number, family: number): BoundHandle | number;
}

/** Rejects as `server.listen` does: `EADDRINUSE`, `EACCES`, `ENOTFOUND` … */
export async function bindSocket(host: string, port: number): Promise<HeldSocket> {
  const { address, family } = isIP(host) === 0 ? await lookup(host) : { address: host, family: isIP(host) };
  const handle = (net as unknown as Binding)._createServerHandle(address, port, family);
  if (typeof handle === 'number') throw systemError(handle, 'bind');
  // A port in use may show only here.
  const failure = handle.getsockname({});
  if (failure !== 0) {
    handle.close();
    throw systemError(failure, 'bind');
  }
  return { fd: handle.fd, isPassed: false, release: () => handle.close() };
}

/** One that outlives the supervisor too. */
export function passedSocket(fd: number): HeldSocket {
  return { fd, isPassed: true, release: () => {} };
}

function systemError(errno: number, syscall: string): Error {
  const code = getSystemErrorName(errno);
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno, syscall });
}
