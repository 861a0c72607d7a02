/** Emits `sessions.events`. A listener that throws is logged, and does not disturb the session. */
import type { EventEmitter } from 'node:events';
import type { Logger, SessionEvent, SessionEventMap, SessionEventName, TimeProvider } from '../types.ts';

export class SessionEvents {
  readonly #events: EventEmitter;
  readonly #time: Pick<TimeProvider, 'now'>;
  readonly #logger: Logger;

  constructor(events: EventEmitter<SessionEventMap>, time: Pick<TimeProvider, 'now'>, logger: Logger) {
    this.#events = events;
    this.#time = time;
    this.#logger = logger;
  }

  emit<Name extends SessionEventName>(
    name: Name,
    sessionId: string,
    more: Omit<SessionEventMap[Name][0], keyof SessionEvent>,
  ): void {
    const event = { sessionId, at: this.#time.now(), ...more };
    try {
      this.#events.emit(name, event);
    } catch (cause) {
      this.#logger.error({ err: cause, event: name }, 'A listener of sessions.events threw');
    }
  }
}
