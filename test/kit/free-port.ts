import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once, type EventEmitter } from 'node:events';
import { createServer } from 'node:net';

/**
 * The system gives `listen(0)` and connections of clients ports from 32768 on (Linux; elsewhere from 49152 on). So the
 * port of a server that is killed, and the port that a program is to listen at later, stay free. `fetch` refuses 10080.
 */
const [FIRST, END] = [11_000, 32_768];
const TRIES = 1_000;

/**
 * A port of this machine where nothing listened a moment ago. While this process lives no test gets the port, also of
 * another run: this process keeps the UDP port of the same number, which no server of the tests uses.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(FIRST, END);
    if (!(await isBound(createSocket('udp4').unref().bind(port, '127.0.0.1')))) continue;
    const server = createServer().listen(port, '127.0.0.1');
    if (!(await isBound(server))) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`no port from ${FIRST} to ${END - 1} is free`);
}

async function isBound(socket: EventEmitter): Promise<boolean> {
  try {
    await once(socket, 'listening');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
}
