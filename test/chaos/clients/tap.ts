/** A stream of events on its way to an official client: read along, and broken under it at will. */
import { type RawEvent, SseParser } from '../../kit/sse-parser.ts';

export interface Tapping {
  event(event: RawEvent): void;
  /** `complete`: as HTTP ends a body; `cut`: it broke, by itself or by {@link Tapped.break}; `left`: by the client. */
  ended(how: 'complete' | 'cut' | 'left'): void;
}

export interface Tapped {
  readonly stream: ReadableStream<Uint8Array>;
  break(): void;
}

/** What it was given the client reads first: an error overtakes what waits in its stream. */
const READ_MS = 10;

export function tap(source: ReadableStream<Uint8Array>, { event, ended }: Tapping): Tapped {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = source.getReader();
  let controller: ReadableStreamDefaultController<Uint8Array>;
  let over = false;
  let broken = false;
  const end = (how: Parameters<Tapping['ended']>[0]): boolean => {
    if (over) return false;
    over = true;
    ended(how);
    return true;
  };
  const fail = (error: unknown): void => {
    if (end('cut')) controller.error(error);
  };
  const pass = async (): Promise<void> => {
    const { value, done } = await reader.read();
    if (over || broken) return;
    if (done) {
      end('complete');
      return controller.close();
    }
    for (const one of parser.push(decoder.decode(value, { stream: true }))) event(one);
    controller.enqueue(value);
  };
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    pull: () => pass().catch(fail),
    cancel: (reason) => {
      end('left');
      return reader.cancel(reason);
    },
  });
  return {
    stream,
    break: () => {
      if (broken) return;
      broken = true;
      reader.cancel().catch(() => {});
      setTimeout(() => fail(new TypeError('terminated')), READ_MS);
    },
  };
}
