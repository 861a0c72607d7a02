// @module-tag matrix
/** The page says that no call fails. */
import { expect, test } from 'vitest';
import { describeBehindNginx } from './nginx.ts';
import { rollingDeploy } from './rolling-app.ts';

describeBehindNginx('the moved Express app behind nginx', () => {
  test('none of 20,000 calls fails while its processes are restarted', { timeout: 3_600_000 }, async () => {
    expect(await rollingDeploy(20_000)).toEqual([]);
  });
});
