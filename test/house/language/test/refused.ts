import { describe, test } from 'vitest';

describe('a session', () => {
  test('goes on where its owner left it', () => undefined);
});
