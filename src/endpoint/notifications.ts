/**
 * `endpoint.sessions.notify` and `endpoint.notify.message`: messages of the application to the clients of sessions that
 * are live, on any instance. They leave on the GET stream. Another instance gets them once, or not at all.
 */
import type { LoggingLevel, ServerNotifier } from '@modelcontextprotocol/server';
import type { Instance } from '../cluster/instance.ts';
import type { Notification } from '../cluster/messages.ts';
import { optionInvalid } from '../base/errors.ts';
import { isObject, LOG_LEVELS } from '../base/protocol/jsonrpc.ts';
import { roleOf } from '../base/protocol/methods.ts';
import type { EndpointStore } from '../session/record/record-kinds.ts';
import type { Registry } from '../session/registry.ts';
import type { LiveSession } from '../session/session.ts';
import { isEnded } from '../stores/store.ts';
import type { Logger } from '../base/types.ts';

const LOG_MESSAGE = 'notifications/message';

export interface LogMessage {
  readonly level: LoggingLevel;
  /** JSON. */
  readonly data: unknown;
  readonly logger?: string | undefined;
}

/** Tells clients of both eras, on every instance, that a list or a resource changed. */
export interface Notifier extends ServerNotifier {
  /**
   * Sends `notifications/message` to the client of every session that is live, on every instance, whose client asked
   * for no higher level. Your server must have the capability `logging`. Requests of 2026-07-28 have no session.
   */
  message(message: LogMessage): void;
}

export class Notifications {
  readonly #sessions: Registry;
  readonly #instance: Instance;
  readonly #logger: Logger;

  constructor(sessions: Registry, instance: Instance, logger: Logger) {
    this.#sessions = sessions;
    this.#instance = instance;
    this.#logger = logger;
  }

  /** To the client of a session that is live here, or of all of them. `false`: the session is not live here. */
  deliver(id: string | null, notification: Notification): boolean {
    if (id === null) {
      for (const session of this.#sessions.values())
        if (wants(session, notification)) this.#send(session, notification);
      return true;
    }
    const session = this.#sessions.get(id);
    if (session === undefined) return false;
    this.#send(session, notification);
    return true;
  }

  /** The same, wherever the session is live. */
  async deliverAnywhere(
    id: string,
    notification: Notification,
    { sessions }: EndpointStore,
  ): Promise<boolean> {
    if (this.deliver(id, notification)) return true;
    const record = await sessions.read(id);
    const owner = record === undefined || isEnded(record) ? null : record.owner;
    if (
      owner === null ||
      owner === this.#instance.lease.id ||
      !(await this.#instance.links.isAlive(owner))
    )
      return false;
    return this.#instance.notify(owner, { kind: 'notify', session: id, ...notification });
  }

  message({ level, data, logger }: LogMessage): void {
    if (!LOG_LEVELS.includes(level))
      throw optionInvalid('range', 'level', level, `one of ${LOG_LEVELS.join(', ')}`);
    const params = { level, data: data ?? null, ...(logger !== undefined && { logger }) };
    const notification = notificationOf(LOG_MESSAGE, params);
    if (this.#sessions.lifecycle.closed) return;
    this.deliver(null, notification);
    this.#instance
      .notify(undefined, { kind: 'notify', session: null, ...notification })
      .catch((err: unknown) =>
        this.#logger.warn(
          { err },
          'A message to all clients could not be sent to the other instances',
        ),
      );
  }

  #send({ id, transport }: LiveSession, { method, params }: Notification): void {
    transport
      .send({ jsonrpc: '2.0', method, ...(params !== undefined && { params }) })
      .catch((err: unknown) =>
        this.#logger.debug({ err, sessionId: id }, 'A message to a client was not sent'),
      );
  }
}

/** A copy, as JSON has it: the application may change its object later. */
export function notificationOf(method: unknown, params: unknown): Notification {
  if (typeof method !== 'string' || !method.startsWith('notifications/'))
    throw optionInvalid('range', 'method', method, 'a method that begins with notifications/');
  if (params === undefined) return { method };
  const copy: unknown = isObject(params) ? JSON.parse(JSON.stringify(params)) : undefined;
  if (!isObject(copy)) throw optionInvalid('type', 'params', params, 'an object');
  return { method, params: copy };
}

/** Whether the client asked for log messages of this level. */
function wants({ record }: LiveSession, { method, params }: Notification): boolean {
  const least =
    roleOf(method) === 'log' && record.head.logLevel !== null
      ? LOG_LEVELS.indexOf(record.head.logLevel)
      : -1;
  return LOG_LEVELS.indexOf(String(params?.['level'])) >= least;
}
