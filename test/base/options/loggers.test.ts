/** The loggers that applications have, from their packages: each gets the level, the text, the fields and the cause. */
import { Writable } from 'node:stream';
import { McpServer } from '@modelcontextprotocol/server';
import { pino } from 'pino';
import winston from 'winston';
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { resolveOptions } from '../../../src/base/options/resolve.ts';
import { hashOf } from '../../kit/log.ts';
import { serve } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';

type Given = NonNullable<Exclude<McpEndpointOptions['logger'], false>>;
type Line = Readonly<Record<string, unknown>>;

/** Takes lines of JSON. */
function collector(): { stream: Writable; lines: () => Line[] } {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return {
    stream,
    lines: () =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Line),
  };
}

/** Its levels, as the logger writes them, from debug to fatal; `text`: the field of the text. */
interface Kind {
  readonly levels: readonly unknown[];
  readonly text: string;
  /** The field for what a handler threw: `message`, where that is not taken. */
  readonly thrown: string;
  open(stream: Writable): Given;
}

const ofWinston = (stream: Writable, levels: winston.config.AbstractConfigSetLevels): Given =>
  winston.createLogger({
    levels,
    level: 'debug',
    format: winston.format.json(),
    transports: [new winston.transports.Stream({ stream })],
  });

const kinds: Readonly<Record<string, Kind>> = {
  pino: {
    levels: [20, 30, 40, 50, 60],
    text: 'msg',
    thrown: 'message',
    open: (stream) => pino({ level: 'debug' }, stream),
  },
  winston: {
    levels: ['debug', 'info', 'warn', 'error', 'error'],
    text: 'message',
    thrown: 'thrown',
    open: (stream) => ofWinston(stream, winston.config.npm.levels),
  },
  'winston with the levels of syslog': {
    levels: ['debug', 'info', 'warning', 'error', 'crit'],
    text: 'message',
    thrown: 'thrown',
    open: (stream) => ofWinston(stream, winston.config.syslog.levels),
  },
};

function throwing(): McpServer {
  const server = new McpServer({ name: 'throwing', version: '1.0.0' });
  server.registerTool('boom', {}, () => {
    throw new TypeError('fetch failed', {
      cause: Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }),
    });
  });
  return server;
}

describe.each(Object.entries(kinds))('%s', (_name, { levels, text, thrown, open }) => {
  test('has the lines of an endpoint with their fields', async () => {
    const { stream, lines } = collector();
    const served = await serve(throwing, {
      logger: open(stream),
      accessLog: true,
      logErrorMessages: true,
    });
    const client = await served.openSession();
    await client.call('tools/call', { name: 'boom', arguments: {} });
    const named = (name: string): Line[] => lines().filter((line) => line[text] === name);
    await until(() => named('request').length === 3, { what: 'the requests' });
    const sessionId = hashOf(client.sessionId);
    expect(named('A client connected')).toMatchObject([
      { level: levels[1], client: 'raw-client 0.0.0', sessionId },
    ]);
    expect(named('A tool threw')).toMatchObject([
      {
        level: levels[2],
        tool: 'boom',
        error: 'TypeError',
        [thrown]: 'fetch failed: ECONNREFUSED',
        sessionId,
      },
    ]);
    expect(named('request').at(-1)).toMatchObject({
      level: levels[1],
      tool: 'boom',
      isError: true,
      sessionId,
    });
  });

  test('gets every level, and of an error its stack and its cause', () => {
    const { stream, lines } = collector();
    const { logger } = resolveOptions({ logger: open(stream) });
    const err = Object.assign(new RangeError('outer', { cause: new Error('inner') }), {
      code: 'E_OUTER',
    });
    for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const)
      logger[level]({ err, n: 1 }, `at ${level}`);
    expect(lines().map(({ level, [text]: said }) => [level, said])).toEqual(
      ['debug', 'info', 'warn', 'error', 'fatal'].map((level, n) => [levels[n], `at ${level}`]),
    );
    for (const { err: written, n } of lines()) {
      expect(n).toBe(1);
      expect(written).toMatchObject({ type: 'RangeError', code: 'E_OUTER' });
      for (const part of ['loggers.test.ts', 'outer', 'inner'])
        expect(JSON.stringify(written)).toContain(part);
    }
  });
});
