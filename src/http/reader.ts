/** The reader of a stream, as sessions and calls see it: `HttpResponse`, or a part of one. */

/** Gets the messages of a stream. Sessions write to their clients only through this interface. */
export interface Reader {
  /** One message, as JSON text. `id`: the client can resume after it. */
  message(json: string, id?: string): void;
  /** An event with only an id, and the time that the client waits before it reconnects. */
  point(id: string, retryMs: number, emptyData: boolean): void;
  /** Ends the response cleanly. */
  end(): void;
  /**
   * The response continues with the next owner of the session: at the instance that relayed the call, or here, after
   * the event `lastEventId`. Only where the reader takes events.
   */
  moved(lastEventId: string | undefined): void;
  /** Whether the client still reads. */
  readonly isOpen: boolean;
  /** `answers`: ids and points are dropped. */
  readonly takes: 'events' | 'answers';
  /** Its client is connected to another instance, and it takes events. */
  readonly isRelayed: boolean;
  /** Resolves when the link to the instance of its client has room, or has failed; `undefined`: it has room. */
  room(): Promise<void> | undefined;
  listener: ReaderListener | undefined;
}

/** An object instead of a function: the stream of a call listens without allocating a closure. */
export interface ReaderListener {
  /** What a line in the log calls its request: the tool, or what else is asked for. */
  readonly label?: string;
  /** A write to the store is under way, and its message reaches the reader in a moment. */
  readonly flushing?: boolean;
  /** The turn that made the response ends, and the response is not complete. */
  endTurn?(): void;
  /** The head of a stream was sent: what the stream begins with follows. */
  opened?(reader: Reader): void;
  /** Called once: the response ended, its client disconnected, or it was cut because its client reads too slowly. */
  over(reader: Reader): void;
}
