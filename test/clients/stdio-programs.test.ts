// @module-tag matrix
/** Clients in other languages in front of programs on stdio, of 2025 and of 2026-07-28. */
import { expect, onTestFinished, test } from 'vitest';
import { serveScripted } from '../stdio/serving.ts';
import { OtherProgram } from './other-client.ts';
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
