/** Server-sent event frames (WHATWG HTML, section 9.2). Data is JSON text, so it never holds a line break. */
import type { HeaderList } from './exchange.ts';

export function messageFrame(json: string, eventId: string | undefined): string {
  return eventId === undefined
    ? `event: message\ndata: ${json}\n\n`
    : `event: message\nid: ${eventId}\ndata: ${json}\n\n`;
}

/**
 * An id, the client's waiting time before it reconnects, and no message. `emptyData`: with an empty data field, as
 * 2025-11-25 has it. Clients of earlier revisions report that as an error; without the field most read the id all the
 * same.
 */
export function primingFrame(eventId: string, retryMs: number, emptyData: boolean): string {
  return `id: ${eventId}\nretry: ${retryMs}\n${emptyData ? 'data: \n' : ''}\n`;
}

export const KEEP_ALIVE_FRAME = ': keepalive\n\n';

/** `Content-Encoding: identity` keeps compressing proxies from holding events back. */
export const SSE_HEADERS: HeaderList = [
  ['Content-Type', 'text/event-stream'],
  ['Cache-Control', 'no-cache,no-store'],
  ['Content-Encoding', 'identity'],
  ['X-Accel-Buffering', 'no'],
];
