import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['leaking.ts'],
    setupFiles: ['../../kit/leaks.ts'],
    reporters: ['default', '../../kit/totals.ts'],
    pool: 'forks',
    hookTimeout: 30_000,
  },
});
