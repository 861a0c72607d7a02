/**
 * Prepares a log line for the logger. Session ids become hashes, and every text is bounded and on one line. Of an error
 * only its class, message, code, stack and causes are written: it may carry the request that it is about, with
 * credentials, and its message may quote what a client sent. `onerror` gets the error itself.
 */
import {
  boundedText,
  cut,
  escapeButLineBreaks,
  escapeControls,
  quoted,
  sessionHash,
} from '../shown.ts';

const TEXT_LENGTH = 1_024;
/** Fields with texts of clients. */
const CLIENT_TEXTS = new Set([
  'client',
  'handler',
  'id',
  'method',
  'prompt',
  'protocol',
  'share',
  'tool',
]);
const STACK_LENGTH = 4_096;
/** How much of a text is examined before it is cut, so that the cut does not split a session id. */
const READ_LENGTH = 8_192;
/** A shorter session id, which only a custom generator makes, may be a common word of the text. */
const REPLACED_ID_LENGTH = 8;
const FRAME = /^\s+at /;
/** Causes of causes. */
const DEPTH = 5;
/** Items of a list, and errors that an `AggregateError` has. */
const ITEMS = 8;

/** A line as the logger gets it. Fields without a value are left out. */
export function writeLine(fields: object, message: string): [fields: object, message: string] {
  const { sessionId } = fields as { readonly sessionId?: unknown };
  const hash = typeof sessionId === 'string' ? sessionHash(sessionId) : undefined;
  const isReplaced = typeof sessionId === 'string' && sessionId.length >= REPLACED_ID_LENGTH;
  const writer = new FieldWriter(isReplaced ? sessionId : undefined, hash ?? '');
  const written: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    if (name === 'sessionId' && hash !== undefined) written[name] = hash;
    else if (typeof value === 'string' && CLIENT_TEXTS.has(name))
      written[name] = boundedText(value);
    else written[name] = writer.value(value, DEPTH);
  }
  return [written, writer.text(message)];
}

class FieldWriter {
  readonly #sessionId: string | undefined;
  readonly #hash: string;

  constructor(sessionId: string | undefined, hash: string) {
    this.#sessionId = sessionId;
    this.#hash = hash;
  }

  text(text: string): string {
    return cut(escapeControls(this.#nameless(text)), TEXT_LENGTH);
  }

  value(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.text(value);
    if (value instanceof Error) return depth === 0 ? '[…]' : this.#error(value, depth - 1);
    if (Array.isArray(value))
      return value.slice(0, ITEMS).map((item: unknown) => this.value(item, Math.min(depth, 1)));
    return typeof value === 'object' && value !== null ? quoted(value) : value;
  }

  #nameless(text: string): string {
    const read = text.length > READ_LENGTH ? text.slice(0, READ_LENGTH) : text;
    return this.#sessionId === undefined ? read : read.replaceAll(this.#sessionId, this.#hash);
  }

  /** A copy of its class. */
  #error(error: Error, depth: number): unknown {
    try {
      const { code, errors, cause } = error as {
        readonly code?: unknown;
        readonly errors?: unknown;
      } & Error;
      const message = this.text(String(error.message));
      const copy = Object.create(Object.getPrototypeOf(error) as object) as Error;
      // Own members, because those of a class may be getters that refuse a copy, as those of `DOMException` do.
      const members = {
        message,
        stack: this.#stack(error, message),
        name: this.text(String(error.name)),
        ...((typeof code === 'string' || typeof code === 'number') && {
          code: this.value(code, depth),
        }),
        ...(cause !== undefined && { cause: this.value(cause, depth) }),
        ...(Array.isArray(errors) && { errors: this.value(errors, depth) }),
      };
      for (const [name, value] of Object.entries(members))
        Object.defineProperty(copy, name, {
          value,
          writable: true,
          configurable: true,
          enumerable: name === 'code',
        });
      return copy;
    } catch {
      // A getter or a proxy threw.
      return 'an error that cannot be read';
    }
  }

  /** A stack begins with the message that the error was created with. The message may be long or have several lines. */
  #stack({ name, message, stack }: Error, written: string): string | undefined {
    if (typeof stack !== 'string') return undefined;
    const at = stack.indexOf(message);
    let whole = stack;
    if (at < 0 || message !== written) {
      const after = at < 0 ? 0 : at + message.length;
      const frames = stack
        .slice(after, after + READ_LENGTH)
        .split('\n')
        .filter((line) => FRAME.test(line));
      whole = [`${name}: ${written}`, ...frames].join('\n');
    }
    return cut(escapeButLineBreaks(this.#nameless(whole)), STACK_LENGTH);
  }
}
