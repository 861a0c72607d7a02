/** What is in `dist/dashboard/page/`: its size, and that it keeps to its content security policy. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

const folder = fileURLToPath(new URL('../../../dist/dashboard/page/', import.meta.url));
const text = (name: string): string => readFileSync(`${folder}${name}`, 'utf8');
const html = text('index.html');

/** What the browser loads before it shows something. */
const FIRST_VIEW_MOST = 24_000;

const sizeOf = (names: readonly string[]): number =>
  names.reduce((sum, name) => sum + brotliCompressSync(readFileSync(`${folder}${name}`)).length, 0);

describe('the page of the dashboard', () => {
  test('is one script and one style sheet, at most 24 KB', () => {
    const first = [...html.matchAll(/(?:src|href)="([\w.-]+\.(?:js|css))"/g)].map(
      ([, name = '']) => name,
    );
    expect(first).toHaveLength(2);
    expect(readdirSync(folder).filter((name) => /\.(js|css)$/.test(name))).toHaveLength(2);
    const size = sizeOf(['index.html', ...first]);
    console.log(`first view: ${size} bytes as brotli`);
    expect(size).toBeLessThanOrEqual(FIRST_VIEW_MOST);
  });

  test('has a hash in each name but that of the document and the licences', () => {
    const others = readdirSync(folder).filter(
      (name) => !['index.html', 'LICENSES.txt'].includes(name),
    );
    for (const name of others) expect(name).toMatch(/-[A-Z0-9]{8}\.(js|css|svg)$/);
  });

  test('has no inline script, no inline style and no address of another site', () => {
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?:/);
    expect(
      [...text('LICENSES.txt').matchAll(/^(\S+) \d+\.\d+\.\d+/gm)].map(([, name]) => name),
    ).toEqual(['preact', '@preact/signals-core']);
  });
});
