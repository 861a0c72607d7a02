/**
 * Payloads of single sessions, on demand: for five minutes after a person asked, and only where the dashboard was
 * mounted with `payloads`. What is kept of a message is its shape: paths, types and lengths. With `values` also the
 * values, without those whose name or form tells a secret.
 */
import type { Notices, SeenPayload } from '../../observe/notices.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { isObject } from '../../protocol/jsonrpc.ts';
import { keptText } from '../../base/shown.ts';
import type { TimeProvider } from '../../types.ts';
import type { PayloadLine } from '../wire-pages.ts';

const FOR_MS = 300_000;
/** Sessions whose payloads are shown at once. */
const SESSIONS = 8;
const LINES = 64;
const DEPTH = 6;
const VALUE_LENGTH = 200;
/** A longer message is not parsed. */
const TEXT_LENGTH = 65_536;
const SECRET_NAME = /pass|pwd|secret|token|key|auth|cred|cookie|session|signature|private|bearer/i;
/** Tokens, keys and hashes: long, without blanks, of letters and digits. */
const SECRET_VALUE = /^(?=[^\s]{0,199}\d)[\w+/=.~:-]{24,}$|^-----BEGIN|\b(?:bearer|basic) \S/i;

export type Shows = 'keys' | 'values';

export class Payloads {
  readonly #time: Required<TimeProvider>;
  readonly #notices: Notices;
  readonly #until = new Map<string, number>();
  #timer: unknown;
  /** `undefined`: no dashboard of this endpoint may show payloads. */
  shows: Shows | undefined;

  constructor(time: Required<TimeProvider>, notices: Notices) {
    this.#time = time;
    this.#notices = notices;
  }

  /** ms since 1970, until when. `undefined`: too many sessions are shown already, or none may be. */
  begin(session: string): number | undefined {
    const now = this.#forget();
    if (this.shows === undefined || (this.#until.size >= SESSIONS && !this.#until.has(session))) return undefined;
    this.#until.set(session, now + FOR_MS);
    this.#notices.watchPayloads(true);
    this.#time.clearTimeout(this.#timer);
    this.#timer = this.#time.setTimeout(() => this.stop(), FOR_MS);
    return now + FOR_MS;
  }

  stop(): void {
    this.#time.clearTimeout(this.#timer);
    this.#until.clear();
    this.#notices.watchPayloads(false);
  }

  untilOf(session: string): number | undefined {
    this.#forget();
    return this.#until.get(session);
  }

  linesOf(session: string, payload: SeenPayload | undefined): readonly PayloadLine[] | undefined {
    if (payload === undefined || this.shows === undefined || this.untilOf(session) === undefined) return undefined;
    const lines: PayloadLine[] = [];
    const shape = new Shape(lines, this.shows === 'values');
    shape.add('params', payload.params, 0, false);
    for (const text of payload.sent) {
      const message: unknown = text.length > TEXT_LENGTH ? undefined : orUndefined(() => JSON.parse(text));
      if (!isObject(message)) continue;
      const { result, error, params, method } = message;
      if (result !== undefined) shape.add('result', result, 0, false);
      else if (error !== undefined) shape.add('error', error, 0, false);
      else if (typeof method === 'string') shape.add(keptText(method), params, 0, false);
    }
    return lines;
  }

  #forget(): number {
    const now = this.#time.now();
    for (const [session, until] of this.#until) if (now >= until) this.#until.delete(session);
    return now;
  }
}

/** Writes the lines of a value. */
class Shape {
  readonly #lines: PayloadLine[];
  readonly #withValues: boolean;

  constructor(lines: PayloadLine[], withValues: boolean) {
    this.#lines = lines;
    this.#withValues = withValues;
  }

  /** `isSecret`: the name of a member above tells it. */
  add(path: string, value: unknown, depth: number, isSecret: boolean): void {
    if (this.#lines.length >= LINES || value === undefined) return;
    if (typeof value === 'string') {
      const shown = !isSecret && this.#withValues && !SECRET_VALUE.test(value.slice(0, VALUE_LENGTH));
      const text = value.slice(0, VALUE_LENGTH);
      this.#push({ path, type: 'string', length: value.length, ...(shown && { value: Buffer.from(text).toString() }) });
    } else if (Array.isArray(value)) {
      this.#push({ path, type: 'array', length: value.length });
      value.forEach((item, n) => this.#inside(`${path}[${n}]`, item, depth, isSecret));
    } else if (isObject(value)) {
      const members = Object.entries(value);
      this.#push({ path, type: 'object', length: members.length });
      for (const [name, member] of members.slice(0, LINES))
        this.#inside(`${path}.${keptText(name)}`, member, depth, isSecret || SECRET_NAME.test(name.slice(0, 200)));
    } else {
      const type = value === null ? 'null' : typeof value === 'number' ? 'number' : 'boolean';
      this.#push({ path, type, ...(this.#withValues && !isSecret && { value: String(value) }) });
    }
  }

  #inside(path: string, value: unknown, depth: number, isSecret: boolean): void {
    if (depth < DEPTH) this.add(path, value, depth + 1, isSecret);
  }

  #push(line: PayloadLine): void {
    if (this.#lines.length < LINES) this.#lines.push(line);
  }
}
