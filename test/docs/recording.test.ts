/** The picture of the demo in README, and the script that draws it from an asciicast. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
// @ts-expect-error a script without types
import * as script from '../../scripts/cast-to-svg.mjs';

const { svgOf } = script as { svgOf: (cast: string) => string };

const MOST_BYTES = 500_000;

const castOf = (...events: readonly (readonly [number, string, string])[]): string =>
  [{ version: 2, width: 20, height: 2 }, ...events].map((line) => `${JSON.stringify(line)}\n`).join('');

test('the recording in README shows a killed instance and is at most 500 kB', () => {
  const svg = readFileSync('docs/images/demo.svg', 'utf8');
  expect(Buffer.byteLength(svg)).toBeLessThanOrEqual(MOST_BYTES);
  for (const part of ['was killed', '404 at', 'The store has not answered', 'sojourn demo'])
    expect(svg).toContain(part);
  expect(readFileSync('README.md', 'utf8')).toContain('](docs/images/demo.svg)');
});

test('a cast becomes one frame for each picture, and a row that stays is drawn once', () => {
  const svg = svgOf(
    castOf(
      [0, 'o', '\u001b[?1049h\u001b[?25l\u001b[2J\u001b[1;1H\u001b[1mhead\u001b[0m <3\u001b[K\u001b[2;1Hfirst\u001b[K'],
      [2, 'o', '\u001b[2;1H \u001b[91msecond\u001b[0m\u001b[K'],
      [3, 'o', '\u001b[?25h\u001b[?1049l'],
    ),
  );
  expect(svg.match(/<g transform=/g)).toHaveLength(2);
  expect(svg.match(/class="b">head<\/tspan>/g)).toHaveLength(1);
  expect(svg).toContain('&lt;3');
  expect(svg).toMatch(/<tspan x="8.4" textLength="50.4" class="r">second<\/tspan>/);
  expect(svg).not.toContain('\u001b');
});

test('a code that the demo does not write is refused', () => {
  expect(() => svgOf(castOf([0, 'o', '\u001b[3A']))).toThrow('the code A is not known');
});
