/**
 * Checks that a NATS server answers: it speaks first. This runs before the client package connects, because the package
 * leaks a socket for every server that accepts a connection and sends nothing (a frozen server, a proxy without a
 * backend).
 */
import { connect } from 'node:net';
import { afterReading } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';

const PORT = 4_222;
const HELLO = 'INFO ';

/** Resolves when one of the servers has sent its greeting. Rejects with the error of the first one. */
export async function probeServers(hosts: readonly string[], time: TimeProvider, ms: number): Promise<void> {
  try {
    await Promise.any(hosts.map((host) => probe(host, time, ms)));
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

function probe(address: string, time: TimeProvider, ms: number): Promise<void> {
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
    const late = (): void => end(new Error(`it sends nothing within ${Math.round(ms)} ms`));
    const timer = time.setTimeout(() => afterReading(late), ms);
    socket.once('error', end);
    socket.once('close', () => end(new Error('it closes the connection')));
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1');
      if (said.startsWith(HELLO)) end();
      else if (said.length >= HELLO.length) end(new Error('it is not a NATS server'));
    });
  });
}
