/**
 * Serves two sham sessions of each era from one server of an SDK class, before the first definition of that class is
 * used. It finds a write to the shared server, a value of one session in the other, and a send to the wrong session:
 * each session must be sent what an ordinary server of that class sends to its one session.
 * A new version of the SDK may keep the state of a connection in a new place; without this check, one client's state
 * would silently reach another client.
 *
 * Everything here is synchronous: the SDK's stored handlers run up to their first `await` at once, and a send reaches
 * its transport before that. So `createMcpEndpoint` can choose. No code of the application runs.
 */
import { currentCall, Call } from '../session/calls/call.ts';
import { createLightServer } from './light-server.ts';
import {
  missingSeam,
  requestsOf,
  setNegotiatedVersion,
  type SdkServer,
  type SdkServerClass,
} from '../sdk/sdk-server.ts';
import { SharedServer } from './shared-server.ts';

/** What is wrong with a class, or `undefined`. */
const results = new WeakMap<SdkServerClass, string | undefined>();

/** What is wrong with this class of servers, in words. */
export function failedCheck(serverClass: SdkServerClass): string | undefined {
  if (!results.has(serverClass)) results.set(serverClass, check(serverClass));
  return results.get(serverClass);
}

function check(serverClass: SdkServerClass): string | undefined {
  try {
    const modern = 'getNegotiatedProtocolVersion' in (serverClass.prototype as object);
    return checkEra(serverClass, 'legacy') ?? (modern ? checkEra(serverClass, 'modern') : undefined);
  } catch (cause) {
    return `the self-check failed: ${cause instanceof Error ? cause.message : String(cause)}`;
  }
}

type Era = 'legacy' | 'modern';

interface Message {
  readonly method: string;
  readonly params?: unknown;
}

/** The parts of the SDK's `Server` that handlers call. */
interface ProbeServer extends SdkServer {
  getClientVersion(): { readonly name: string } | undefined;
  getNegotiatedProtocolVersion?(): string | undefined;
  sendLoggingMessage(params: object, sessionId: string): Promise<void>;
  /** Since version 1.11. */
  elicitInput?(params: object, options: { readonly signal: AbortSignal }): Promise<unknown>;
  connect(transport: ShamTransport): Promise<void>;
  setRequestHandler(method: string, handler: () => unknown): void;
}

class ShamTransport {
  readonly sessionId: string;
  readonly sent: Message[] = [];
  onclose: (() => void) | undefined = undefined;

  constructor(sessionId: string) {
    this.sessionId = sessionId;
  }
  async start(): Promise<void> {}
  async send(message: Message): Promise<void> {
    this.sent.push(message);
  }
  async close(): Promise<void> {
    this.onclose?.();
  }
}

/** One sham client. Its marker is in everything that it says. */
class ShamSession {
  readonly marker: string;
  readonly transport: ShamTransport;
  readonly light: ProbeServer;
  /** Versions before 1.23 keep the timer of a question until it is answered or cancelled. */
  readonly #questions = new AbortController();
  /** What the tool saw. */
  seen: { readonly client: string | undefined; readonly transport: unknown; readonly version: unknown } | undefined;

  constructor(marker: string, light: ProbeServer) {
    this.marker = marker;
    this.transport = new ShamTransport(marker);
    this.light = light;
    ignore(light.connect(this.transport));
  }

  /** Its tool does everything through `probe`, as a careless tool does. */
  useShared(probe: ProbeServer): void {
    this.seen = {
      client: probe.getClientVersion()?.name,
      transport: probe.transport,
      version: probe.getNegotiatedProtocolVersion?.(),
    };
    const { marker } = this;
    const question = { message: marker, requestedSchema: { type: 'object', properties: {} } };
    ignore(probe.sendLoggingMessage({ level: 'info', data: marker }, marker));
    ignore(probe.elicitInput?.(question, { signal: this.#questions.signal }));
  }

  close(): void {
    this.#questions.abort();
    ignore(this.light.close());
  }

  /** The methods that its client was sent. */
  get sent(): string {
    return this.transport.sent.map(({ method }) => method).join();
  }

  /** All requests have the same id, as those of real clients do. */
  dispatch(method: string, params: object): void {
    const call = new Call(undefined, undefined, false, 1, method, undefined);
    const { marker: sessionId } = this;
    const mcpReq = { id: 1, method, requestState: () => undefined, signal: new AbortController().signal };
    currentCall.run(call, () => {
      const handler = requestsOf(this.light).get(method);
      if (handler === undefined) throw new Error(`the definition has no handler of ${method}`);
      ignore(handler({ jsonrpc: '2.0', id: 1, method, params }, { sessionId, mcpReq, requestId: 1 }));
    });
  }
}

/** Results come later than this check, and answers never. */
function ignore(promise: unknown): void {
  Promise.resolve(promise).catch(() => {});
}

const LEGACY_VERSIONS = ['2025-06-18', '2025-11-25'] as const;
const MODERN_VERSION = '2026-07-28';

function checkEra(serverClass: SdkServerClass, era: Era): string | undefined {
  const probe = createProbe(serverClass);
  const missing = missingSeam(probe);
  if (missing !== undefined) return `it has no ${missing}`;
  const shared = new SharedServer(probe);
  const sessions = MARKERS.map((marker) => {
    const light = createLightServer(shared, {}) as ProbeServer;
    shared.adopt(light);
    return new ShamSession(marker, light);
  });
  const before = snapshot(shared);
  try {
    use(probe, sessions, era);
    return (
      changed(before, snapshot(shared)) ?? crossed(sessions) ?? misdirected(sessions, era, sendsAlone(serverClass, era))
    );
  } finally {
    for (const session of sessions) session.close();
  }
}

const MARKERS = ['sojourn-self-check-a', 'sojourn-self-check-b'];

function createProbe(serverClass: SdkServerClass): ProbeServer {
  const info = { name: 'sojourn-self-check', version: '1.0.0' };
  // The SDK's own validator takes milliseconds to create, and nothing here is validated by it.
  const jsonSchemaValidator = { getValidator: () => () => ({ valid: true }) };
  const options = { capabilities: { logging: {}, tools: {} }, jsonSchemaValidator };
  return new serverClass(info, options) as ProbeServer;
}

/** Each session shakes hands, then each calls the tool. */
function use(probe: ProbeServer, sessions: readonly ShamSession[], era: Era): void {
  let calling: ShamSession | undefined;
  setTool(probe, () => {
    calling?.useShared(probe);
    return { content: [] };
  });
  for (const session of sessions) {
    if (era === 'legacy') shakeHands(session);
    else setNegotiatedVersion(session.light, MODERN_VERSION);
  }
  for (const session of sessions) {
    calling = session;
    session.dispatch('tools/call', { name: 'self-check', arguments: {} });
  }
}

/** What each session is sent where its server is an ordinary one, which serves no other session. */
function sendsAlone(serverClass: SdkServerClass, era: Era): string[] {
  return MARKERS.map((marker) => {
    const probe = createProbe(serverClass);
    const session = new ShamSession(marker, probe);
    use(probe, [session], era);
    const { sent } = session;
    session.close();
    return sent;
  });
}

/** Version 1 takes a schema instead of a method: there the handler is stored directly. */
function setTool(probe: ProbeServer, handler: () => unknown): void {
  if (probe.getNegotiatedProtocolVersion === undefined) requestsOf(probe).set('tools/call', handler);
  else probe.setRequestHandler('tools/call', handler);
}

/** They differ in version, capabilities and log level, so that a shared value shows. */
function shakeHands(session: ShamSession): void {
  const index = MARKERS.indexOf(session.marker);
  session.dispatch('initialize', {
    protocolVersion: LEGACY_VERSIONS[index],
    capabilities: index === 0 ? { elicitation: { form: {} } } : { sampling: {} },
    clientInfo: { name: session.marker, version: '1.0.0' },
  });
  // Versions before 1.17 have no log levels.
  if (requestsOf(session.light).has('logging/setLevel'))
    session.dispatch('logging/setLevel', { level: index === 0 ? 'error' : 'debug' });
}

// ——— what may not happen ———

/** The own values of the shared server. Of maps, sets and plain objects also their entries. */
function snapshot({ server, idle }: SharedServer): Map<string, unknown> {
  const values = new Map<string, unknown>();
  const note = (name: string, value: unknown): void => {
    values.set(name, value);
    for (const [key, entry] of entriesOf(value)) values.set(`${name}.${key}`, entry);
  };
  for (const [name, value] of Object.entries(idle)) note(name, value);
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(server))) {
    if (!(name in idle)) note(name, value);
  }
  return values;
}

function entriesOf(value: unknown): Array<[string, unknown]> {
  if (value instanceof Map) return [...value].map(([key, entry]): [string, unknown] => [String(key), entry]);
  if (value instanceof Set) return [...value].map((entry): [string, unknown] => [String(entry), entry]);
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function changed(before: Map<string, unknown>, after: Map<string, unknown>): string | undefined {
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const name = names.find((key) => !Object.is(before.get(key), after.get(key)));
  return name === undefined ? undefined : `a session wrote ${name} of the shared server`;
}

const DEPTH = 6;

/** Values of one session in the light server of the other. */
function crossed(sessions: readonly ShamSession[]): string | undefined {
  for (const { light, marker, transport } of sessions) {
    const strangers = sessions.filter((other) => other.marker !== marker);
    const found = strangers.find((other) => holds(light, other.marker, transport, DEPTH, new Set()));
    if (found !== undefined) return 'the server of one session holds a value of another session';
  }
  return undefined;
}

function holds(value: unknown, marker: string, skipped: unknown, depth: number, visited: Set<unknown>): boolean {
  if (typeof value === 'string') return value.includes(marker);
  if (typeof value !== 'object' || value === null || value === skipped || depth === 0 || visited.has(value))
    return false;
  visited.add(value);
  return entriesOf(value).some(
    ([key, entry]) => key.includes(marker) || holds(entry, marker, skipped, depth - 1, visited),
  );
}

/** `expected`: what each session is sent by an ordinary server. */
function misdirected(sessions: readonly ShamSession[], era: Era, expected: readonly string[]): string | undefined {
  for (const [index, { seen, marker, transport, sent }] of sessions.entries()) {
    if (seen === undefined) return 'the tool did not run';
    if (seen.transport !== transport) return 'a handler sees the transport of another session';
    const version = era === 'modern' ? MODERN_VERSION : LEGACY_VERSIONS[index];
    if (seen.version !== undefined && seen.version !== version) return 'a handler sees the version of another session';
    if (era === 'legacy' && seen.client !== marker) return 'a handler does not see its client';
    if (sent !== expected[index]) return `a session was sent '${sent}' instead of '${expected[index]}'`;
    const foreign = transport.sent.some((message) => !JSON.stringify(message.params).includes(marker));
    if (foreign) return 'a send reached another session';
  }
  return expected.every((methods) => methods === '') ? 'no session was sent anything' : undefined;
}
