import { writeSync } from 'node:fs';

/** Runs on a thread of its own: what it writes is out before the module is evaluated. */
export function load(url, context, next) {
  writeSync(1, `${url}\n`);
  return next(url, context);
}
