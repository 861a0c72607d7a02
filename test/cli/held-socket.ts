/** A held socket that is closed when the test ends. */
import { onTestFinished } from 'vitest';
import { holdSocket, type HeldSocket } from '../kit/held-socket.ts';

export function heldSocket(): HeldSocket {
  const socket = holdSocket();
  onTestFinished(() => socket.close());
  return socket;
}
