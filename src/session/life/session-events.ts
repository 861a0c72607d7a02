/** Emits what happens to the sessions of an instance. */
import type { Notices, SessionNotice } from '../../observe/notices.ts';
import type { SessionEvent, SessionEventMap, SessionEventName, TimeProvider } from '../../types.ts';

export class SessionEvents {
  readonly #notices: Notices;
  readonly #time: Pick<TimeProvider, 'now'>;

  constructor(notices: Notices, time: Pick<TimeProvider, 'now'>) {
    this.#notices = notices;
    this.#time = time;
  }

  emit<Name extends SessionEventName>(
    kind: Name,
    sessionId: string,
    more: Omit<SessionEventMap[Name][0], keyof SessionEvent>,
  ): void {
    this.#notices.emit({ kind, sessionId, at: this.#time.now(), ...more } as unknown as SessionNotice);
  }
}
