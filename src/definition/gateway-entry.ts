import type { RequestId } from '@modelcontextprotocol/server';

export interface Message {
  readonly jsonrpc?: string;
  readonly id?: RequestId;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** One message of a client in the server. While it is open, what the server sends for it goes to its session. */
export class GatewayEntry<Session extends { readonly transport: unknown }> {
  /** `undefined`: the gateway itself asks. */
  readonly session: Session | undefined;
  /** The id that the client gave its request. */
  readonly clientId: RequestId | undefined;
  readonly closed: Promise<void>;
  /** Questions to the client that wait for their answers. */
  questions = 0;
  /** Takes the answer, where the gateway itself asks. */
  answer: ((message: Message) => void) | undefined = undefined;
  #open = true;
  #close: () => void = () => {};

  constructor(session: Session | undefined, clientId?: RequestId) {
    this.session = session;
    this.clientId = clientId;
    this.closed = new Promise((resolve) => (this.#close = resolve));
  }

  get open(): boolean {
    return this.#open;
  }

  /** What the server sends for it has a way to its client. */
  get reachesClient(): boolean {
    return this.#open && this.session?.transport !== undefined;
  }

  close(): void {
    this.#open = false;
    this.#close();
  }
}
