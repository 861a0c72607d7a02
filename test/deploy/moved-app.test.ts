/** `moved-app-20000.test.ts` makes fifty times as many calls. */
import { expect, test } from 'vitest';
import { describeBehindNginx } from './nginx.ts';
import { rollingDeploy } from './rolling-app.ts';

describeBehindNginx('the moved Express app behind nginx', () => {
  test('no call fails while its processes are restarted', { timeout: 120_000 }, async () => {
    expect(await rollingDeploy(400)).toEqual([]);
  });
});
