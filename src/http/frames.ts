/** The frames of server-sent events (WHATWG HTML, section 9.2). `response.ts` writes them, and no other file does. */

/** An event of a stream. The type of a message is `message`. */
export interface StreamEvent {
  readonly type?: string;
  /** The client can resume after this event. */
  readonly id?: string | undefined;
  /** The time that the client waits before it reconnects. */
  readonly retryMs?: number;
  /**
   * Holds no line break; that of a message is its JSON. A point has an empty one, as 2025-11-25 says, or none: clients of
   * earlier revisions report an empty one as an error, and most read the id of an event without it.
   */
  readonly data?: string | undefined;
}

export function frameOf({ type, id, retryMs, data }: StreamEvent): string {
  let frame = type === undefined ? '' : `event: ${type}\n`;
  if (id !== undefined) frame += `id: ${id}\n`;
  if (retryMs !== undefined) frame += `retry: ${retryMs}\n`;
  if (data !== undefined) frame += `data: ${data}\n`;
  return `${frame}\n`;
}

export function framesOf(events: readonly StreamEvent[]): string {
  let frames = '';
  for (const event of events) frames += frameOf(event);
  return frames;
}

/** The Python SDK 2.x refuses longer events, and takes JSON bodies of any size. */
const LARGE_EVENT_BYTES = 1_048_576;

/** Whether some clients refuse the message as an event. A UTF-16 unit has three bytes of UTF-8 at most. */
export const isLarge = (json: string): boolean =>
  json.length * 3 > LARGE_EVENT_BYTES && Buffer.byteLength(json) > LARGE_EVENT_BYTES;

export const KEEP_ALIVE_FRAME = ': keepalive\n\n';

/** A response whose events are complete when its head leaves: a proxy that holds them back delays none of them. */
export const WHOLE_SSE_HEADERS: ReadonlyArray<readonly [name: string, value: string]> = [
  ['Content-Type', 'text/event-stream'],
  ['Cache-Control', 'no-cache,no-store,no-transform'],
];

/**
 * A response that stays open. Compressing proxies, and middleware such as Express's, hold events back: two fields keep
 * them from it.
 */
export const SSE_HEADERS: typeof WHOLE_SSE_HEADERS = [
  ...WHOLE_SSE_HEADERS,
  ['Content-Encoding', 'identity'],
  ['X-Accel-Buffering', 'no'],
];
