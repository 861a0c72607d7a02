import type { ClientCapabilities, Implementation } from '@modelcontextprotocol/server';
import type { McpSession, SessionState } from '../types.ts';
import type { AnyServer, LiveSession } from './session.ts';

/** `ctx.session`: the public face of a live session, with nothing of its inside. */
class SessionView implements McpSession {
  readonly kind = 'session' as const;
  readonly #session: LiveSession;

  constructor(session: LiveSession) {
    this.#session = session;
  }
  get id(): string {
    return this.#session.id;
  }
  get user(): string | undefined {
    return this.#session.user;
  }
  get createdAt(): number {
    return this.#session.createdAt;
  }
  get clientInfo(): Implementation {
    return this.#session.handshake.clientInfo;
  }
  get clientCapabilities(): ClientCapabilities {
    return this.#session.handshake.capabilities;
  }
  get protocolVersion(): string {
    return this.#session.version;
  }
  get server(): AnyServer {
    const { server } = this.#session;
    if (server === undefined) throw new Error('session.server is not there yet: the factory is still making it');
    return server;
  }
  get state(): SessionState {
    return this.#session.record.state;
  }
  get signal(): AbortSignal {
    return this.#session.signal;
  }
}

export function createSessionView(session: LiveSession): McpSession {
  return new SessionView(session);
}
