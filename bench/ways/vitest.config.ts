/** `npm run ways`: the way of a call in figures. A run of Vitest, whose transform of `src/` notes each function's entry. */
import { relative, resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import base from '../../vitest.config.ts';
import { noteEntries } from './note-entries.ts';

const root = resolve(import.meta.dirname, '../..');
const src = resolve(root, 'src/');

export default defineConfig({
  root,
  ...(base.resolve && { resolve: base.resolve }),
  plugins: [
    {
      name: 'note-entries',
      enforce: 'pre',
      transform: (code, id) =>
        id.startsWith(`${src}/`) && !id.includes('/testing/')
          ? noteEntries(code, relative(src, id))
          : undefined,
    },
  ],
  test: {
    include: ['bench/ways/ways.ts'],
    setupFiles: ['test/kit/globals.ts'],
    reporters: ['minimal'],
    pool: 'forks',
    disableConsoleIntercept: true,
    testTimeout: 60_000,
  },
});
