/** Each refusal names what to do, and what is copied into a shell is no more than a name. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { remedyFor } from '../../src/dashboard/page/remedies.ts';
import { adviceFor } from '../../src/dashboard/page/words.ts';
import type { FleetPage } from '../../src/dashboard/wire.ts';
import { mount, valueOf } from '../kit/dashboard.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { serve } from '../kit/serve.ts';

const options = {
  allowedHosts: [],
  allowedOrigins: ['localhost', '127.0.0.1', '[::1]'],
  limits: { bodyBytes: 4_194_304, sessions: null },
};
const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8');

/** The reasons of answers that refuse: those that the entry names, else the code. */
const reasons = [
  ...page.matchAll(/^- `([A-Z_]+)` \((?:4\d\d|503)\b(?:.+\n)(?: {2}.+\n)*/gm),
].flatMap(([entry, code = '']) => {
  const words = [...entry.matchAll(/`reason: (\w+)`/g)].map(([, word = '']) => word);
  return words.length > 0 ? words : [code.toLowerCase()];
});

/** Errors of the body: the answer says what is wrong with it, and no operator can do more. */
const OF_THE_CALLER =
  /^(?:parse_error|invalid_|body_unreadable|too_many_headers|already_initialized|request_id_in_flight)/;

test('every reason of the errors page has advice, where the operator can do something', () => {
  expect(reasons.length).toBeGreaterThan(25);
  expect(
    reasons.filter((reason) => !OF_THE_CALLER.test(reason) && adviceFor(reason) === undefined),
  ).toEqual([]);
});

describe('what allows it', () => {
  const of = (reason: string, caller: { origin?: string; host?: string } = {}) =>
    remedyFor({ reason, callers: [{ ...caller, times: 1 }] }, options);

  test('a list keeps what it has, and gets the name', () => {
    expect(of('origin', { origin: 'https://a.example' })?.flag).toBe(
      "--allowed-origins 'localhost,127.0.0.1,[::1],https://a.example'",
    );
    expect(of('host', { host: 'a.example' })).toEqual({
      flag: "--allowed-hosts 'a.example'",
      variable: "SOJOURN_ALLOWED_HOSTS='a.example'",
      module: 'allowedHosts: ["a.example"]',
    });
    // The option takes no port.
    expect(of('host', { host: '[::1]:8443' })?.flag).toBe("--allowed-hosts '[::1]'");
  });

  test('a limit is doubled', () => {
    const bytes = options.limits.bodyBytes * 2;
    expect(of('body_too_large')).toEqual({
      flag: `--limits-body-bytes '${bytes}'`,
      variable: `SOJOURN_LIMITS_BODY_BYTES='${bytes}'`,
      module: `limits: { bodyBytes: ${bytes} }`,
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
    expect(of('origin', { origin: value })).toBeUndefined();
    expect(of('host', { host: value === 'null' ? '' : value })).toBeUndefined();
  });

  test('nothing, where no option helps', () => {
    for (const reason of [
      'unauthorized',
      'constructor',
      'toString',
      'user_limit',
      'too_many_sessions',
    ])
      expect(of(reason, { origin: 'https://a.example' })).toBeUndefined();
  });
});

test('a client that writes the name of an option into a header is offered none', async () => {
  const { endpoint, url } = await serve(createEchoServer);
  const port = await mount(endpoint);
  const text = 'x" (limits.bodyBytes) "';
  for (const headers of [
    { Origin: text },
    { 'Content-Type': text },
    { 'MCP-Protocol-Version': text },
  ])
    await fetch(url, { method: 'POST', headers: headers as Record<string, string>, body: '{}' });
  const seen = await valueOf<FleetPage>(port, 'fleet');
  const refusals = seen.instances[0]?.figures?.refusals ?? [];
  expect(refusals.length).toBeGreaterThan(1);
  expect(refusals.flatMap((of) => remedyFor(of, seen.options) ?? [])).toEqual([]);
  // A code that has one gets it, by what the endpoint has now.
  const origin = { reason: 'origin', callers: [{ origin: 'https://a.example', times: 1 }] };
  expect(remedyFor(origin, seen.options)?.flag).toContain(
    "localhost,127.0.0.1,[::1],https://a.example'",
  );
  const host = { reason: 'host', callers: [{ host: 'a.example', times: 1 }] };
  expect(remedyFor(host, seen.options)?.flag).toContain("localhost,127.0.0.1,[::1],a.example'");
});
