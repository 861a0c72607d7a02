import { writeSync } from 'node:fs';

/** Runs on a separate thread, so that its output is written before the module is evaluated. */
export function load(url, context, next) {
  writeSync(1, `${url}\n`);
  return next(url, context);
}
