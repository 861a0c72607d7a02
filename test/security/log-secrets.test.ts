/**
 * What the log says about a run of hostile and ordinary clients, with every line that there is (`accessLog`): no token,
 * argument, result, message of a thrown error, session id or control character of theirs. Each of them carries a text
 * that occurs nowhere else.
 */
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { hashOf, type LogLine } from '../kit/log.ts';
import { faces, serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { attackAll, messages } from './canary-client.ts';
import { ARGUMENT, keeper, QUERY, RESULT, THROWN, TOKEN, verify } from './processes/keeper.mjs';

/** As a JSON logger and as the console write it. */
const written = ({ fields, message }: LogLine): string =>
  `${message} ${JSON.stringify(fields, (_key, value: unknown) =>
    value instanceof Error ? `${value.stack} ${inspect(value)}` : value,
  )}`;

const eras = ['legacy', 'modern', 'stateless'] as const;

describe.each(faces.flatMap((face) => eras.map((era) => [face, era] as const)))('over %s, %s', (face, era) => {
  test('no line holds a token, an argument, a result, a thrown message, a session id or a control character', async () => {
    const options: McpEndpointOptions = {
      accessLog: true,
      auth: { verify },
      ...(era === 'stateless' && { sessionMode: 'stateless' }),
    };
    const served = await serve(keeper, options, { face });
    const ids = await attackAll((given) => served.client(given), served.url, era);
    const { log } = served;
    const of = (text: RegExp): number => log.matching(text).length;
    await until(() => of(/^request$/) > messages().length, { what: 'the lines of the requests' });
    // The log says what happened at all.
    expect([
      of(/^A tool threw$/),
      log.lines.filter(({ fields }) => fields['refused'] === 'unauthorized').length,
      of(/^A client connected/) > 0 || era === 'stateless',
    ]).toEqual([3, 3, true]);
    const found: string[] = [];
    for (const line of log.lines) {
      const text = written(line);
      for (const secret of [TOKEN, ARGUMENT, RESULT, THROWN, QUERY, ...ids])
        if (text.includes(secret)) found.push(text);
      // oxlint-disable-next-line no-control-regex
      if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/.test(text)) found.push(text);
    }
    expect(found).toEqual([]);
    const [id] = ids;
    if (era === 'legacy') expect(log.lines.some(({ fields }) => fields['sessionId'] === hashOf(id))).toBe(true);
  });
});
