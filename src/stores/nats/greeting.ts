/**
 * Whether a NATS server is there: it speaks first. Asked before the client package connects, because that leaves a socket
 * behind for each server that takes a connection and says nothing (one that is frozen, a proxy in front of nothing).
 */
import { connect } from 'node:net';
import type { TimeProvider } from '../../types.ts';

const PORT = 4_222;
const HELLO = 'INFO ';

/** Resolves when one of them has said hello; rejects with what the first of them does instead. */
export async function greeted(hosts: readonly string[], time: TimeProvider, ms: number): Promise<void> {
  try {
    await Promise.any(hosts.map((host) => hello(host, time, ms)));
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

function hello(address: string, time: TimeProvider, ms: number): Promise<void> {
  const { hostname, port } = new URL(`nats://${address}`);
  return new Promise((resolve, reject) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ host, port: port === '' ? PORT : Number(port) });
    let said = '';
    const end = (error?: Error): void => {
      time.clearTimeout(timer);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const timer = time.setTimeout(() => end(new Error(`it says nothing within ${Math.round(ms)} ms`)), ms);
    socket.once('error', end);
    socket.once('close', () => end(new Error('it closes the connection')));
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1');
      if (said.startsWith(HELLO)) end();
      else if (said.length >= HELLO.length) end(new Error('it is something else than NATS'));
    });
  });
}
