/** How values that clients chose, and session ids, are written into log lines and errors. */
import { createHash } from 'node:crypto';

const SHOWN_LENGTH = 64;
const HASH_LENGTH = 12;

/** Control and format characters, line separators, lone surrogates: none may move a terminal's cursor or begin a line. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const UNSAFE_BUT_LINE_BREAKS = /[^\P{Cc}\n]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const escape = (char: string): string => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;

/** On one line. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, escape);
}

/** Of a stack: its line breaks stay. */
export function escapeButLineBreaks(text: string): string {
  return text.replace(UNSAFE_BUT_LINE_BREAKS, escape);
}

/** At most `length` characters. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** A client's text, as a log line or an error shows it: at most 64 characters, control characters escaped. */
export function shown(text: string): string {
  return escapeControls(cut(String(text), SHOWN_LENGTH));
}

/** The same of any JSON value, in the way JSON writes it: `"a"`, `5`. */
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

/** What stands for a session id in logs and errors: 12 hexadecimal digits of its SHA-256. An id is a key to its session. */
export function sessionHash(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, HASH_LENGTH);
}
