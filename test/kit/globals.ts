/**
 * Loaded before every test file. `@hono/node-server` replaces the global `Request` and `Response`; the next file of a
 * shared worker gets Node's again.
 */
import { afterAll } from 'vitest';

const { Request, Response } = globalThis;

afterAll(() => {
  for (const [name, value] of Object.entries({ Request, Response })) {
    Object.defineProperty(globalThis, name, { value });
  }
});
