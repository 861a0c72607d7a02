/** A TCP socket that is bound, and held by this process, which must not accept: `net` would. */
import assert from 'node:assert/strict';
import { onTestFinished } from 'vitest';

interface TcpHandle {
  readonly fd: number;
  bind(address: string, port: number): number;
  getsockname(out: { port?: number }): number;
  close(): void;
}

export interface HeldSocket {
  readonly fd: number;
  readonly port: number;
  close(): void;
}

export function holdSocket(): HeldSocket {
  const { binding } = process as unknown as { binding(name: string): unknown };
  const { TCP, constants } = binding.call(process, 'tcp_wrap') as {
    TCP: new (type: number) => TcpHandle;
    constants: { SERVER: number };
  };
  const handle = new TCP(constants.SERVER);
  assert.equal(handle.bind('127.0.0.1', 0), 0);
  const name: { port?: number } = {};
  handle.getsockname(name);
  return { fd: handle.fd, port: name.port ?? 0, close: () => handle.close() };
}

/** A held socket that is closed when the test ends. */
export function heldSocket(): HeldSocket {
  const socket = holdSocket();
  onTestFinished(() => socket.close());
  return socket;
}
