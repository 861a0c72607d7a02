/** Server-sent event frames (WHATWG HTML, section 9.2). Data is JSON text, so it never holds a line break. */
import type { HeaderList } from './exchange.ts';

export function messageFrame(json: string, eventId: string | undefined): string {
  return eventId === undefined
    ? `event: message\ndata: ${json}\n\n`
    : `event: message\nid: ${eventId}\ndata: ${json}\n\n`;
}

/** An id, the time that the client waits before it reconnects, and empty data: the client dispatches no message. */
export function primingFrame(eventId: string, retryMs: number): string {
  return `id: ${eventId}\nretry: ${retryMs}\ndata: \n\n`;
}

export const KEEP_ALIVE_FRAME = ': keepalive\n\n';

/** `Content-Encoding: identity` keeps compressing proxies from holding events back. */
export const SSE_HEADERS: HeaderList = [
  ['Content-Type', 'text/event-stream'],
  ['Cache-Control', 'no-cache,no-store'],
  ['Content-Encoding', 'identity'],
  ['X-Accel-Buffering', 'no'],
];
