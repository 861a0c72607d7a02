/**
 * Loaded before every test file. A test that has used half of its time says what its endpoints do then, and prints it
 * if it fails: a wait that never ends shows where it stands. `stuck.ts` describes them, in files that make endpoints.
 */
import { beforeEach } from 'vitest';
import { endpointsNow, forgetEndpoints, testBegins } from './endpoints-now.ts';

const { setTimeout, clearTimeout } = globalThis;

/** Of a test's time. What a wait may take at most. */
const PART = 1 / 2;

beforeEach(({ task, onTestFailed, onTestFinished }) => {
  const began = performance.now();
  testBegins(task.timeout);
  let seen = '';
  const look = (): void => {
    const seconds = Math.round((performance.now() - began) / 1_000);
    seen = `after ${seconds} s, half of its time, the test waited:\n${endpointsNow()}`;
  };
  const timer = setTimeout(look, task.timeout * PART);
  onTestFinished(() => {
    clearTimeout(timer);
    forgetEndpoints();
  });
  onTestFailed(() => {
    if (seen !== '') console.log(seen);
  });
});
