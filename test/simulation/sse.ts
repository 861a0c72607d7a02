export interface SseEvent {
  readonly id: string | undefined;
  readonly retryMs: number | undefined;
  /** JSON text; `''`: a priming event. */
  readonly data: string;
}

/** Whole frames, as instances write them: a piece never ends inside of one. */
export function parseFrames(text: string): SseEvent[] {
  const events: SseEvent[] = [];
  for (const frame of text.split('\n\n')) {
    if (frame === '' || frame.startsWith(':')) continue;
    let id: string | undefined;
    let retryMs: number | undefined;
    let data = '';
    for (const line of frame.split('\n')) {
      if (line.startsWith('id: ')) id = line.slice(4);
      else if (line.startsWith('data: ')) data += line.slice(6);
      else if (line.startsWith('retry: ')) retryMs = Number(line.slice(7));
    }
    events.push({ id, retryMs, data });
  }
  return events;
}
