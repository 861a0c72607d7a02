/** What servers of several versions answer, as it came from them, and the code that the store reads in it. */
import { expect, test } from 'vitest';
import { storeFailure } from '../../packages/postgres/src/failures.ts';
import { redisFailure, replyCode } from '../../packages/redis/src/failures.ts';

const HASH = 'f_6073e39a450839486e7efc128db0b8ebeaaa0d07';
const OF_6_2 = `ERR Error running script (call to ${HASH}): @user_script:1:`;

test.each([
  // Redis 6.2.14
  [`${OF_6_2} WRONGTYPE Operation against a key holding the wrong kind of value`, 'WRONGTYPE'],
  [`${OF_6_2} @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.`, 'OOM'],
  [`${OF_6_2} @user_script: 1: -READONLY You can't write against a read only replica.`, 'READONLY'],
  [`${OF_6_2} @user_script: 1: -NOREPLICAS Not enough good replicas to write.`, 'NOREPLICAS'],
  [
    `${OF_6_2} @user_script: 1: The user executing the script can't run this command or subcommand`,
    'NOPERM',
  ],
  // Redis 7.0.15
  [
    `WRONGTYPE Operation against a key holding the wrong kind of value script: ${HASH}, on @user_script:1.`,
    'WRONGTYPE',
  ],
  [
    `OOM command not allowed when used memory > 'maxmemory'. script: ${HASH}, on @user_script:1.`,
    'OOM',
  ],
  [
    `ERR The user executing the script can't run this command or subcommand script: ${HASH}, on @user_script:2.`,
    'NOPERM',
  ],
  // Redis 7.2 and later
  [
    `ERR ACL failure in script: User a has no permissions to run the 'hset' command script: ${HASH}, on @user_script:2.`,
    'NOPERM',
  ],
  ["ERR unknown command 'GETDEL', with args beginning with: 'k' ", 'UNKNOWN'],
  ['NOSCRIPT No matching script. Please use EVAL.', 'NOSCRIPT'],
  ['Connection lost', undefined],
])('%s', (message, code) => {
  expect(replyCode(new Error(message))).toBe(code);
});

test('an error of a script of Redis 6.2 says what to do', () => {
  const full = new Error(
    `${OF_6_2} @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.`,
  );
  expect(redisFailure('Redis at here', full).message).toContain('its memory is full');
});

test.each([redisFailure, storeFailure])(
  '%o names the first error of a host with two addresses',
  (failure) => {
    const refused = ['::1', '127.0.0.1'].map(
      (address) => new Error(`connect ECONNREFUSED ${address}:1`),
    );
    expect(failure('localhost', new AggregateError(refused)).message).toContain(
      '(localhost: connect ECONNREFUSED ::1:1)',
    );
  },
);
