/** The program behind both gateways. */
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { buildServer } from './second-line.mjs';

let n = 0;
/** Gateways start a process for each call of 2026-07-28: it keeps nothing there. */
serveStdio(({ era }) =>
  era === 'legacy'
    ? buildServer({ hasSession: true, count: () => (n += 1) })
    : buildServer({ hasSession: false }),
);
