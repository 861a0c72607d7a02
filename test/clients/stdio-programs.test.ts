// @module-tag matrix
/** Clients in other languages in front of programs on stdio, of 2025 and of 2026-07-28, and servers in Python. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { callModern } from '../kit/modern.ts';
import { serveScripted } from '../stdio/serving.ts';
import { OtherProgram } from './other-client.ts';
import { connectV2 } from './official.ts';
import { type Other, others } from './other-list.ts';

/** A JVM, or the imports of Python, on a machine with other work. */
const START_MS = 120_000;

/** Under CI a missing language fails. */
const isRun = ({ missing }: Other): boolean => missing === undefined || 'CI' in process.env;

const rows = others
  .filter(isRun)
  .flatMap((other) => [[], ['modern', 'only']].map((words) => ({ ...other, words })));

test.each(rows)(
  '$title calls, is asked, and hears of changes: $words',
  { timeout: 2 * START_MS },
  async ({ command, era, words }) => {
    const { url } = await serveScripted({ words });
    const program = new OtherProgram(command);
    onTestFinished(() => program.close());
    const client = await program.connect(url, era, START_MS);
    expect(await client.call('echo', { text: 'here' }, 'here')).toBe('ok');
    const asking = client.call('ask', { kinds: ['elicit'] });
    if (await client.asked()) client.answer();
    expect(await asking).toBe('ok');
    if (era === '2026') return;
    const heard = await client.notifies('notifications/tools/list_changed', () =>
      client.call('change'),
    );
    expect(heard).toEqual(['ok', true]);
    expect(await client.close()).toBe('ok');
  },
);

const servers = others
  .filter(isRun)
  .filter(({ name, era }) => name.startsWith('python') && era === '2025');

test.each(servers)(
  'what a server with $title logs in a call reaches clients of both eras, that of Python too',
  { timeout: 2 * START_MS },
  async ({ command: [python = '', file = ''], era }) => {
    const program = { command: python, args: [join(file, '../server.py')] };
    const { url, client } = await serveScripted(program);
    const official = await connectV2(url);
    expect(await official.say('talk')).toBe('done');
    const told = official.notifications('notifications/message');
    expect(told.map(({ params }) => params?.['data'])).toEqual(['one', 'two']);
    const meta = { 'io.modelcontextprotocol/logLevel': 'info' };
    const params = { name: 'talk', arguments: {} };
    const { response } = await callModern(client(), 'tools/call', params, { meta });
    expect(response.messages.map(({ params: of }) => of?.['data'])).toEqual([
      'one',
      'two',
      undefined,
    ]);
    const own = new OtherProgram([python, file]);
    onTestFinished(() => own.close());
    const other = await own.connect(url, era, START_MS);
    const heard = await other.notifies('notifications/message', () => other.call('talk'));
    expect(heard).toEqual(['ok', true]);
  },
);
