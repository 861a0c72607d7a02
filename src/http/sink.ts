/**
 * The target of a stream's messages: one HTTP response of any format. Sessions know HTTP only through this interface.
 */
export interface Sink {
  /** Sends one message, given as JSON text. */
  message(json: string, eventId: string | undefined): void;
  /** Sends an event with only an id and the time that the client waits before it reconnects. */
  prime(eventId: string, retryMs: number, emptyData: boolean): void;
  /** Ends the response cleanly. */
  end(): void;
  /**
   * Resolves when the link to the instance of its client has room, or has failed; `undefined`: it has room. Only where
   * it is relayed.
   */
  room?(): Promise<void> | undefined;
  /** Its client is connected to another instance. */
  readonly isRelayed?: boolean;
  /**
   * The response continues with the next owner of the session: at the instance that relayed the call, or here, after
   * the event `lastEventId`.
   */
  handOn?(lastEventId: string | undefined): void;
  /** Whether the client still reads. */
  readonly open: boolean;
  /**
   * Notified once when the response is over: it ended, the client disconnected, or it was cut off for reading too
   * slowly.
   */
  listener: SinkListener | undefined;
}

/** An object instead of a function: the stream of a call listens to its sink without allocating a closure. */
export interface SinkListener {
  /** A write to the store is under way, and its message reaches the sink in a moment. */
  readonly flushing?: boolean;
  /** The turn that opened the sink ends, and the sink is not complete. */
  endTurn?(): void;
  sinkDone(sink: Sink): void;
}
