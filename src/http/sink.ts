/** Where a stream's messages go: one HTTP response, whatever its format. Sessions know no more of HTTP than this. */
export interface Sink {
  /** One message, as JSON text. */
  message(json: string, eventId: string | undefined): void;
  /** An event that carries only an id and the time to wait before reconnecting. */
  prime(eventId: string, retryMs: number): void;
  /** The clean end. */
  end(): void;
  /** Whether somebody still reads. */
  readonly open: boolean;
  /** Who is told, once, that the response is over: it ended, its reader went away, or was cut off for being too slow. */
  listener: SinkListener | undefined;
}

/** An object and not a function: a call's stream listens to its sink without a closure being made. */
export interface SinkListener {
  /** Something for the sink is on its way into the store, and will follow in a moment. */
  readonly flushing?: boolean;
  /** The turn in which the sink was opened ends, and it is not complete. */
  endTurn?(): void;
  sinkDone(sink: Sink): void;
}
