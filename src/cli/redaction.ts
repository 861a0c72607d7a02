/**
 * Hides the secrets of a store's URL in texts: in URLs, and in the messages and fields of errors of a store's client.
 * Most secrets are hidden wherever they are. A secret that is written as a word is, `redis` or `password` for example,
 * may be a word of a sentence, a part of a name, or the scheme of the URL. It is hidden in URLs and fields.
 */
import { orUndefined } from '../base/or-undefined.ts';

export interface UrlSecrets {
  /** What is between `//` and `@`. */
  readonly credentials: string | undefined;
  /** Behind the `?` of the URL. */
  readonly query: string;
  /** Texts of the URL that are no secret: its scheme, users, hosts and so on. */
  readonly shown: ReadonlySet<string>;
}

const HIDDEN = '***';
/**
 * A shorter secret would match parts of ordinary words. As credentials between `//` and `@` it is replaced all the
 * same.
 */
const MIN_SECRET_LENGTH = 4;
/** No word of a sentence is longer. */
const LONGEST_WORD = 16;
const WORD = /^(?:[A-Za-z][a-z]*|[A-Z]+|[0-9]+)$/;
const SECRET_NAME = /pass|pwd|secret|token|key|auth|cred/i;

export function redaction({ credentials, query, shown }: UrlSecrets): (text: string) => string {
  const secrets = new Map<string, string>();
  const add = (given: string): void => {
    for (const secret of spellings(given)) if (secret.length >= MIN_SECRET_LENGTH) secrets.set(secret, HIDDEN);
  };
  // Credentials that have no colon are a user alone.
  if (credentials?.includes(':')) {
    for (const spelling of spellings(credentials)) secrets.set(`${spelling}@`, `${HIDDEN}@`);
    const secret = credentials.slice(credentials.indexOf(':') + 1);
    add(secret);
    // A reader of the URL may take a part of it for a host, a path or a parameter.
    for (const part of secret.split(/[^\w%.~-]+/)) add(part);
  }
  for (const parameter of query.split('&')) {
    const [name = '', value = ''] = parameter.split(/=(.*)/s);
    if (!SECRET_NAME.test(decoded(name))) continue;
    for (const given of [value, value.replaceAll('+', ' '), ...value.split('#')]) add(given);
  }
  const longestFirst = [...secrets].toSorted(([a], [b]) => b.length - a.length);
  return (text) =>
    longestFirst.reduce(
      (redacted, [secret, by]) =>
        isWord(secret) ? hideInFields(redacted, secret, shown.has(secret)) : redacted.replaceAll(secret, by),
      text,
    );
}

const isWord = (secret: string): boolean => secret.length <= LONGEST_WORD && WORD.test(secret);

const decoded = (text: string): string => orUndefined(() => decodeURIComponent(text)) ?? text;

/** The secret in the URL, the secret that is sent, what other writers of URLs make of it, and each in a JSON line. */
function spellings(given: string): readonly string[] {
  const sent = decoded(given);
  const url = new URL('store://host');
  url.password = sent;
  const texts = [given, sent, url.password, orUndefined(() => encodeURIComponent(sent)) ?? sent];
  return texts.flatMap((text) => [text, JSON.stringify(text).slice(1, -1)]);
}

/** `isShown`: the word is a host of the URL too, for example. Then only the name of a field tells which one it is. */
function hideInFields(text: string, word: string, isShown: boolean): string {
  let [hidden, from] = ['', 0];
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
    const after = text.slice(at + word.length, at + word.length + 3);
    if (!isSecretThere(text.slice(Math.max(0, at - BEFORE), at), after, isShown || /^[0-9]/.test(word))) continue;
    hidden += text.slice(from, at) + HIDDEN;
    from = at + word.length;
  }
  return hidden + text.slice(from);
}

const BEFORE = 80;
/** The word is a part of a longer one, or of a host, a path or a URL. */
const CONTINUES = /^(?:\w|-|\/|:|\.\w)/;
/** `name=`, `name:`, `"name":"`, `name: '`, `\"name\":\"` */
const FIELD = /([\w.-]{0,64})\\?["'`]?(?:[:=]|[:=] ?\\?["'`])$/;
/** `name: ` before a text without quotes is a sentence, unless the name tells otherwise. `AUTH user ` is a command. */
const SPOKEN = /\b(?:pass\w{0,8}|pwd|secret|token)(?: is|[:=])? $|\bAUTH["'\\,]{0,3} (?:\S{1,64} )?\\?["']?$/i;
/** A further value of a list. */
const LISTED = /[[,] ?\\?["'`]$/;
/** `ENOTFOUND `: a reader of the URL may have taken the secret for a host. */
const FAILED = /\bE[A-Z_]{3,20} $/;

function isSecretThere(before: string, after: string, isShown: boolean): boolean {
  if (after.startsWith('@')) return /[:/]$/.test(before);
  if (/\w$/.test(before) || CONTINUES.test(after)) return false;
  const [, name] = FIELD.exec(before) ?? [];
  if (SPOKEN.test(before) || (name !== undefined && SECRET_NAME.test(name))) return true;
  return !isShown && (name !== undefined || LISTED.test(before) || FAILED.test(before));
}
