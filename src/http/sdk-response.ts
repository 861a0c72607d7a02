/**
 * Answers of the SDK's `createMcpHandler`, which are web `Response`s. JSON is sent as it is, or as one event once a
 * stream has begun. Event streams are passed on chunk by chunk, with sojourn's headers.
 */
import type { HttpResponse } from './response.ts';

export interface PassedOn {
  /** Creates the answer for a stream of the SDK that ended without one. */
  unanswered(): string | undefined;
  /** Changes each frame of a stream. */
  reveal(frame: string): string;
  /** What to cancel when the response is over. */
  closes(stream: { left(): void }): void;
}

export async function passOn(from: Response, to: HttpResponse, options: PassedOn): Promise<void> {
  const type = from.headers.get('content-type') ?? '';
  if (type.startsWith('text/event-stream') && from.body !== null) return passStream(from.body, to, options);
  const body = from.body === null ? undefined : await from.text();
  to.done(
    from.status,
    [...from.headers].filter(([name]) => name !== 'content-length'),
    body,
  );
}

async function passStream(body: ReadableStream<Uint8Array>, to: HttpResponse, options: PassedOn): Promise<void> {
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  options.closes({ left: cancel });
  to.begin();
  if (!to.isOpen) return cancel();
  const decoder = new TextDecoder();
  let last = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !to.isOpen) break;
    const frame = decoder.decode(value, { stream: true });
    if (!frame.startsWith(':')) last = frame;
    to.frames(options.reveal(frame));
  }
  const answer = isAnswer(last) ? undefined : options.unanswered();
  if (answer !== undefined) to.message(answer);
  to.end();
}

/** Whether an event carries an answer rather than a notification. The SDK writes one event per chunk. */
function isAnswer(frame: string): boolean {
  const data = /^data: (.*)$/m.exec(frame)?.[1];
  if (data === undefined) return false;
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === 'object' && message !== null && 'id' in message && !('method' in message);
  } catch {
    return false;
  }
}
