/** The frames of server-sent events (WHATWG HTML, section 9.2). `response.ts` writes them, and no other file does. */
/** `json` never holds a line break. `id`: the client can resume after this message. */
export function messageFrame(json: string, id: string | undefined): string {
  return id === undefined ? `event: message\ndata: ${json}\n\n` : `event: message\nid: ${id}\ndata: ${json}\n\n`;
}

/**
 * An id, the client's waiting time before it reconnects, and no message. `emptyData`: with an empty data field, as
 * 2025-11-25 has it. Clients of earlier revisions report that as an error; without the field most read the id all the
 * same.
 */
export function pointFrame(id: string, retryMs: number, emptyData: boolean): string {
  return `id: ${id}\nretry: ${retryMs}\n${emptyData ? 'data: \n' : ''}\n`;
}

/** The Python SDK 2.x refuses longer events, and takes JSON bodies of any size. */
const LARGE_EVENT_BYTES = 1_048_576;

/** Whether some clients refuse the message as an event. A UTF-16 unit has three bytes of UTF-8 at most. */
export const isLarge = (json: string): boolean =>
  json.length * 3 > LARGE_EVENT_BYTES && Buffer.byteLength(json) > LARGE_EVENT_BYTES;

export const KEEP_ALIVE_FRAME = ': keepalive\n\n';

/** Compressing proxies, and middleware such as Express's, hold events back: two fields keep them from it. */
export const SSE_HEADERS: ReadonlyArray<readonly [name: string, value: string]> = [
  ['Content-Type', 'text/event-stream'],
  ['Cache-Control', 'no-cache,no-store,no-transform'],
  ['Content-Encoding', 'identity'],
  ['X-Accel-Buffering', 'no'],
];
