/** Server-sent events as they were written: every field that came, comments too (WHATWG HTML, section 9.2.6). */
import { orUndefined } from '../../src/base/or-undefined.ts';

export type Params = Readonly<Record<string, any>>;

/** A message as it came; which of its members there are depends on its kind. */
export interface Message {
  readonly jsonrpc?: string;
  readonly id?: string | number | null;
  readonly method?: string;
  readonly params?: Params;
  readonly result?: Params;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

export interface RawEvent {
  readonly event?: string;
  readonly id?: string;
  readonly retry?: number;
  /** `''` is a `data:` line without a value; absent: no such line. */
  readonly data?: string;
  readonly comment?: string;
  /** `data` as JSON; undefined if it is not JSON. */
  readonly message?: Message;
}

type Fields = { -readonly [K in keyof RawEvent]: RawEvent[K] };

export class SseParser {
  #rest = '';
  #fields: Fields = {};

  /** The events that are complete with this text. */
  push(text: string): RawEvent[] {
    this.#rest += text;
    const events: RawEvent[] = [];
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line !== '') this.#line(line);
      else if (Object.keys(this.#fields).length > 0) {
        events.push(withMessage(this.#fields));
        this.#fields = {};
      }
    }
    return events;
  }

  #line(line: string): void {
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    const fields = this.#fields;
    switch (name) {
      case '':
        fields.comment = fields.comment === undefined ? value : `${fields.comment}\n${value}`;
        break;
      case 'data':
        fields.data = fields.data === undefined ? value : `${fields.data}\n${value}`;
        break;
      case 'event':
      case 'id':
        fields[name] = value;
        break;
      case 'retry':
        if (/^\d+$/.test(value)) fields.retry = Number(value);
        break;
      default: // unknown fields are ignored
    }
  }
}

function withMessage(fields: Fields): RawEvent {
  if (!fields.data) return fields;
  const { data } = fields;
  const message = orUndefined(() => JSON.parse(data) as Message);
  return message === undefined ? fields : { ...fields, message };
}
