/** The comments that an editor shows beside an option say its default, and the table of options has the same. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DEFAULTS } from '../../src/options/table.ts';

const types = readFileSync(new URL('../../src/options/endpoint-options.ts', import.meta.url), 'utf8');
const body = types.slice(types.indexOf('export interface McpEndpointOptions'));

interface Tooltip {
  readonly name: string;
  readonly text: string;
}

const tooltips = [...body.matchAll(/^ {2}\/\*\*(.*?)\*\/\n {2}(\w+)\?:/gms)].map(
  ([, text = '', name = '']): Tooltip => ({ name, text: text.replace(/\s*\n\s*\*\s*/g, ' ').trim() }),
);

/** The value that a comment gives in words: a number with commas, a text in quotes, or a word of JavaScript. */
function valueOf(said: string): unknown {
  const text = said.replaceAll('`', '');
  if (/^[\d,]+$/.test(text)) return Number(text.replaceAll(',', ''));
  if (text === 'Infinity') return Infinity;
  return JSON.parse(text.replaceAll("'", '"'));
}

const VALUE = /(?:[Dd]efault (`[^`]+`|[\d,]*\d))|(?:(`[^`]+`) \(default\))/;
const stated = tooltips.flatMap(({ name, text }) => {
  const [, after, before] = VALUE.exec(text) ?? [];
  const said = after ?? before;
  return said === undefined ? [] : [{ name, said }];
});

describe('the comment of an option', () => {
  test('names a default for these options at least', () => {
    expect(stated.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['sessionMode', 'idleTimeoutMs', 'hibernateAfterMs', 'leaseMs', 'legacySse', 'retryMs']),
    );
    expect(stated.length).toBeGreaterThan(15);
  });

  test.each(stated)('$name: its default is $said, as in the table', ({ name, said }) => {
    const table: Record<string, unknown> = DEFAULTS;
    expect(table[name]).toEqual(valueOf(said));
  });

  test('eventRetention: its members have the defaults of the table', () => {
    const text = tooltips.find(({ name }) => name === 'eventRetention')?.text ?? '';
    const members = [...text.matchAll(/`(\w+)` ([\d,]*\d)/g)].map(([, name, said = '']) => [name, valueOf(said)]);
    expect(Object.fromEntries(members)).toEqual(DEFAULTS.eventRetention);
  });
});
