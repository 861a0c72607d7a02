/** Each refusal names what to do, and what is copied into a shell is no more than a name. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { adviceFor, allowanceFor } from '../../src/dashboard/server/remedies.ts';
import { hostNotAllowed, originNotAllowed } from '../../src/errors.ts';
import { resolveOptions } from '../../src/options/resolve.ts';

const options = resolveOptions({ limits: { perUser: { requestsPerMinute: 600 } } });
const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8');

/** The reasons of answers that refuse: those that the entry names, else the code. */
const reasons = [...page.matchAll(/^- `([A-Z_]+)` \((?:4\d\d|503)\b(?:.+\n)(?: {2}.+\n)*/gm)].flatMap(
  ([entry, code = '']) => {
    const words = [...entry.matchAll(/`reason: (\w+)`/g)].map(([, word = '']) => word);
    return words.length > 0 ? words : [code.toLowerCase()];
  },
);

/** Errors of the body: the answer says what is wrong with it, and no operator can do more. */
const OF_THE_CALLER =
  /^(?:parse_error|invalid_|body_unreadable|fields_too_many|already_initialized|request_id_in_flight)/;

test('every reason of the errors page has advice, where the operator can do something', () => {
  expect(reasons.length).toBeGreaterThan(25);
  expect(reasons.filter((reason) => !OF_THE_CALLER.test(reason) && adviceFor(reason) === undefined)).toEqual([]);
});

describe('what allows it', () => {
  const of = (reason: string, why: string, value?: string) => allowanceFor({ reason, why }, value, options);

  test('a list keeps what it has, and gets the name', () => {
    expect(of('origin', originNotAllowed('https://a.example').message, 'https://a.example')?.flag).toBe(
      "--allowed-origins 'localhost,127.0.0.1,[::1],https://a.example'",
    );
    expect(of('host', hostNotAllowed('a.example').message, 'a.example')).toEqual({
      flag: "--allowed-hosts 'a.example'",
      variable: "SOJOURN_ALLOWED_HOSTS='a.example'",
      module: 'allowedHosts: ["a.example"]',
    });
  });

  test('a limit is doubled, also one of a user, which has no flag', () => {
    expect(of('body_too_large', 'a body may have 4194304 bytes (limits.bodyBytes)')?.flag).toBe(
      `--limits-body-bytes '${options.limits.bodyBytes * 2}'`,
    );
    expect(of('user_limit', 'this user has reached 600 (limits.perUser.requestsPerMinute)')).toEqual({
      module: 'limits: { perUser: { requestsPerMinute: 1200 } }',
    });
  });

  test.each([
    "https://a.example'; rm -rf ~ #",
    'https://$(id).example',
    'a b',
    '`id`',
    'null',
    '"',
    'https://a.example/\n',
  ])('nothing is offered to copy for %j', (value) => {
    const allowed = of('origin', originNotAllowed(value).message, value);
    expect(value === 'null' || allowed === undefined).toBe(true);
    expect(JSON.stringify(allowed ?? '')).not.toMatch(/rm -rf|\$\(|`/);
  });

  test('the text of a client names no option', () => {
    expect(of('host', hostNotAllowed('x (limits.bodyBytes) y').message, 'x (limits.bodyBytes) y')).toBeUndefined();
    expect(of('unsupported_media_type', 'must be application/json, not "a (limits.bodyBytes)"')).toBeUndefined();
  });

  test('nothing, where no option helps', () => {
    expect(of('unauthorized', 'The token has expired')).toBeUndefined();
    expect(of('session_not_found', 'Session not found: … (option store)')).toBeUndefined();
    for (const name of ['constructor', 'toString', 'limits.perUser.constructor', 'limits.valueOf', 'logger'])
      expect(of('other', `no (${name}), option ${name}`)).toBeUndefined();
  });
});
