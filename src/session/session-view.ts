import type { ClientCapabilities, Implementation } from '@modelcontextprotocol/server';
import type { AnyServer } from '../sdk/server-shape.ts';
import { userName } from '../base/shown.ts';
import type { McpSession, State } from '../base/types.ts';
import type { SessionParts } from './session-parts.ts';

interface ViewedSession extends SessionParts {
  readonly idleMs: number;
  hibernate(): void;
}

/** `ctx.session`: the public face of a live session, without access to its internals. */
export class SessionView implements McpSession {
  readonly kind = 'session' as const;
  readonly #session: ViewedSession;

  constructor(session: ViewedSession) {
    this.#session = session;
  }
  get id(): string {
    return this.#session.id;
  }
  get userKey(): string | undefined {
    return this.#session.userKey;
  }
  get userName(): string | undefined {
    const { userKey: user } = this.#session;
    return user && userName(user);
  }
  get createdAt(): number {
    return this.#session.createdAt;
  }
  get clientInfo(): Implementation {
    return this.#session.handshake.params.clientInfo;
  }
  get clientCapabilities(): ClientCapabilities {
    return this.#session.handshake.params.capabilities;
  }
  get protocolVersion(): string {
    return this.#session.version;
  }
  get server(): AnyServer {
    const { server } = this.#session;
    if (server === undefined)
      throw new Error('session.server is not there yet: the factory is still making it');
    return server;
  }
  get state(): State {
    return this.#session.record.state;
  }
  get signal(): AbortSignal {
    return this.#session.signal;
  }

  // ——— not public ———

  /** Whether its client reads its GET stream. */
  get isListening(): boolean {
    return this.#session.hasGetSink;
  }

  /** For so long its client has shown no sign: no message, and no open response. */
  get idleMs(): number {
    return this.#session.idleMs;
  }

  /** Its server is not needed until its next message. */
  hibernate(): void {
    this.#session.hibernate();
  }
}
