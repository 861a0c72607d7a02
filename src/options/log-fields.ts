/**
 * Prepares the fields of a log line for the logger. Session ids become hashes, credentials are left out, and every text
 * is bounded and on one line. This includes errors and their causes: an error may carry the request that it is about,
 * and a message may quote what a client sent. A line that needs no change is passed on as it is.
 */
import { SojournError } from '../errors.ts';
import { CREDENTIAL_HEADERS } from './header-names.ts';
import { boundedText, cut, escapeButLineBreaks, escapeControls, sessionHash, shown } from '../base/shown.ts';

const TEXT_LENGTH = 1_024;
/** Fields with texts of clients. */
const CLIENT_TEXTS = new Set(['client', 'handler', 'id', 'method', 'prompt', 'protocol', 'tool', 'user']);
const STACK_LENGTH = 4_096;
/** How much of a text is examined before it is cut, so that the cut does not split a session id. */
const READ_LENGTH = 8_192;
/** A shorter session id, which only a custom generator makes, may be a common word of the text. */
const REPLACED_ID_LENGTH = 8;
const FRAME = /^\s+at /;
const DEPTH = 5;
const MEMBERS = 32;
/** The most values that one line may have. */
const VALUES = 128;

const REDACTED = '[redacted]';
/** The headers of a request that an error carries. Only the application knows which of its fields are secret. */
const HEADER_BAG = /^(?:raw)?headers$/i;
const SECRET_NAMES = ['token', 'access_token', 'refresh_token', 'id_token', 'password', 'secret'];

/** A line as the logger gets it. */
export type WriteLine = (fields: object, message: string) => [fields: object, message: string];

/** Fields without a value are left out. `credentials`: more names of fields that are left out, in lower case. */
export function lineWriter(credentials: readonly string[]): WriteLine {
  const secret = new Set([...SECRET_NAMES, ...CREDENTIAL_HEADERS, ...credentials]);
  return (fields, message) => {
    const { sessionId } = fields as { readonly sessionId?: unknown };
    const writer = new Writer(secret, typeof sessionId === 'string' ? sessionId : undefined);
    try {
      const written: Record<string, unknown> = {};
      for (const [name, value] of Object.entries(fields)) {
        if (value === undefined) continue;
        if (typeof value === 'string' && name === 'sessionId') written[name] = writer.hash;
        else if (typeof value === 'string' && CLIENT_TEXTS.has(name)) written[name] = boundedText(value);
        else written[name] = writer.value(value, DEPTH);
      }
      return [written, writer.text(message)];
    } catch {
      // A getter or a proxy threw.
      return [{}, writer.text(message)];
    }
  };
}

/** Writes the fields of one line. */
class Writer {
  readonly #secret: ReadonlySet<string>;
  readonly #sessionId: string | undefined;
  readonly hash: string | undefined;
  #values = 0;

  constructor(secret: ReadonlySet<string>, sessionId: string | undefined) {
    this.#secret = secret;
    this.hash = sessionId === undefined ? undefined : sessionHash(sessionId);
    this.#sessionId = sessionId !== undefined && sessionId.length >= REPLACED_ID_LENGTH ? sessionId : undefined;
  }

  text(text: string): string {
    return cut(escapeControls(this.#nameless(text)), TEXT_LENGTH);
  }

  value(value: unknown, depth: number): unknown {
    this.#values += 1;
    if (typeof value === 'string') return this.#values > VALUES ? '…' : this.text(value);
    if (typeof value !== 'object' || value === null || value instanceof Date) return value;
    if (depth === 0 || this.#values > VALUES) return '[…]';
    if (value instanceof Error) return this.#error(value, depth);
    if (Array.isArray(value)) return this.#array(value, depth);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return `[${value.constructor?.name ?? 'object'}]`;
    return this.#members(value, depth);
  }

  #nameless(text: string): string {
    const read = text.length > READ_LENGTH ? text.slice(0, READ_LENGTH) : text;
    return this.#sessionId === undefined ? read : read.replaceAll(this.#sessionId, this.hash ?? '');
  }

  #array(values: readonly unknown[], depth: number): readonly unknown[] {
    const written = values.slice(0, MEMBERS).map((value) => this.value(value, depth - 1));
    if (values.length > MEMBERS) written.push(`… ${values.length - MEMBERS} more`);
    return written.length === values.length && written.every((value, n) => value === values[n]) ? values : written;
  }

  /** The own members of an object or an error. Returns the same object when nothing had to change. */
  #members(object: object, depth: number): object {
    const names = Object.keys(object);
    const written: Record<string, unknown> = {};
    let same = names.length <= MEMBERS;
    for (const name of names.slice(0, MEMBERS)) {
      const value: unknown = Reflect.get(object, name);
      const as = shown(name);
      written[as] = this.#isSecret(object, name, value) ? REDACTED : this.value(value, depth - 1);
      same &&= as === name && written[as] === value;
    }
    return same ? object : written;
  }

  #isSecret(of: object, name: string, value: unknown): boolean {
    if (value === undefined || value === null || value === '') return false;
    if (this.#secret.has(name.toLowerCase())) return true;
    return HEADER_BAG.test(name) && !(of instanceof SojournError);
  }

  #error(error: Error, depth: number): Error {
    const message = this.text(String(error.message));
    const stack = this.#stack(error, message);
    const cause = this.value(error.cause, depth - 1);
    const { errors } = error as { readonly errors?: unknown };
    const several = Array.isArray(errors) ? this.#array(errors, depth - 1) : undefined;
    const members = this.#members(error, depth);
    const same = members === error && message === error.message && stack === error.stack && cause === error.cause;
    if (same && (several === undefined || several === errors)) return error;
    const copy = Object.create(Object.getPrototypeOf(error) as object) as Error;
    Object.assign(copy, members);
    const hidden = { message, stack, ...('cause' in error && { cause }), ...(several && { errors: several }) };
    for (const [name, value] of Object.entries(hidden)) {
      Object.defineProperty(copy, name, { value, writable: true, configurable: true, enumerable: false });
    }
    return copy;
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
