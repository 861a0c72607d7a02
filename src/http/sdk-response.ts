/**
 * Answers of the SDK's `createMcpHandler` to `subscriptions/listen`, which are web `Response`s. JSON is sent as it is, or as one event once a
 * stream has begun. The messages of an event stream are passed on one by one, with sojourn's headers.
 */
import type { AnswerSink } from './answer-sink.ts';

export interface PassedOn {
  /** Creates the answer for a stream of the SDK that ended without one. */
  unanswered(): string | undefined;
  /** Changes each frame of a stream. */
  reveal(frame: string): string;
  /** What to cancel when the response is over. */
  closes(stream: { sinkClosed(): void }): void;
}

export async function passOn(from: Response, to: AnswerSink, options: PassedOn): Promise<void> {
  const type = from.headers.get('content-type') ?? '';
  if (type.startsWith('text/event-stream') && from.body !== null) return passStream(from.body, to, options);
  const body = from.body === null ? undefined : await from.text();
  to.done(
    from.status,
    [...from.headers].filter(([name]) => name !== 'content-length'),
    body,
  );
}

async function passStream(body: ReadableStream<Uint8Array>, to: AnswerSink, options: PassedOn): Promise<void> {
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => {});
  options.closes({ sinkClosed: cancel });
  to.sendHead();
  if (!to.isOpen) return cancel();
  const decoder = new TextDecoder();
  let answer: string | undefined;
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !to.isOpen) break;
    // The SDK writes one event per chunk.
    const json = DATA.exec(options.reveal(decoder.decode(value, { stream: true })))?.[1];
    if (json !== undefined && isAnswer(json)) answer = json;
    else if (json !== undefined) to.message(json);
  }
  answer ??= options.unanswered();
  if (answer === undefined) to.done(200);
  else to.answer(answer);
}

/** JSON may hold U+2028, which `.` and `$` take for the end of a line. */
const DATA = /(?:^|\n)data: ([^\n]*)\n/;

/** Whether a message is an answer rather than a notification. */
function isAnswer(json: string): boolean {
  try {
    const message: unknown = JSON.parse(json);
    return typeof message === 'object' && message !== null && 'id' in message && !('method' in message);
  } catch {
    return false;
  }
}
