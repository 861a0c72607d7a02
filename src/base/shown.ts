/** How session ids, and values that clients chose, are written into log lines and errors. */
import { digestOf } from './digest.ts';
import { orUndefined } from './or-undefined.ts';

const SHOWN_LENGTH = 64;
/** A client's text in a span, a label or a field of a log line. MCP allows names of tools this long. */
const LONGEST_TEXT = 128;
const HASH_LENGTH = 12;

/**
 * Control and format characters, line separators and lone surrogates: they could move a terminal's cursor or start a
 * line.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const UNSAFE_BUT_LINE_BREAKS = /[^\P{Cc}\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** A character of two units has two escapes, as in JSON. */
const escape = (char: string): string =>
  char.replace(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Escapes unsafe characters, line breaks included. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, escape);
}

/** Escapes unsafe characters of a stack trace and keeps its line breaks. */
export function escapeButLineBreaks(text: string): string {
  return text.replace(UNSAFE_BUT_LINE_BREAKS, escape);
}

/** Shortens `text` to at most `length` characters. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** Most values of clients need no escapes. */
const PLAIN = /^[\x20-\x7e]{0,64}$/;

/** A client's text for a log line or an error: at most 64 characters, control characters escaped. */
export function shown(text: string): string {
  return PLAIN.test(text) ? String(text) : escapeControls(cut(String(text), SHOWN_LENGTH));
}

/**
 * The same, to be kept for long. What is cut off a text would stay in memory with its beginning, so that is copied.
 */
export function keptText(text: string): string {
  const short = shown(text);
  return short === text ? text : Buffer.from(short).toString();
}

/** What a client states about itself, to be kept for long. It states what it likes: `undefined`, no name and version. */
export function keptClient(
  info: unknown,
): { readonly name: string; readonly version: string } | undefined {
  const { name, version } = Object(info) as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || typeof version !== 'string') return undefined;
  return { name: keptText(name), version: keptText(version) };
}

/** A client's text for a span or a label: at most 128 characters, which keep no longer text in memory. */
export function boundedText(text: string): string {
  const short = cut(escapeControls(cut(text, LONGEST_TEXT)), LONGEST_TEXT);
  return short === text ? text : Buffer.from(short).toString();
}

/** A JSON value for a log line or an error, spelled as JSON does (`"a"`, `5`) and shortened like `shown`. */
export function quoted(value: unknown): string {
  if (typeof value === 'string') return escapeControls(JSON.stringify(cut(value, SHOWN_LENGTH)));
  return typeof value === 'object' && value !== null
    ? `an ${Array.isArray(value) ? 'array' : 'object'}`
    : String(value);
}

/** A JSON-RPC id as a field of a log line. */
export function shownId(id: string | number | undefined): string | number | undefined {
  return typeof id === 'string' ? shown(id) : id;
}

/**
 * Replaces a session id in logs and errors, because an id gives access to its session: 12 hexadecimal digits of its
 * SHA-256.
 */
export function sessionHash(id: string): string {
  return digestOf(id).toString('hex').slice(0, HASH_LENGTH);
}

/**
 * The name in a user key for display: the subject, or what `sessionUser` returned. The key is a JSON array whose last
 * element is the name (`src/eras/caller-checks.ts`); a key of another form is its own name.
 */
export function userName(key: string): string {
  const name = orUndefined(() => (JSON.parse(key) as unknown[]).at(-1));
  return typeof name === 'string' ? name : key;
}
